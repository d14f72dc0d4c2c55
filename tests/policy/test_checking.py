"""A policy beside the schemas that it is to be used with, and what of it is hardly meant."""

import pytest

from crdt_sync.policy.checking import check
from crdt_sync.policy.reading import parse_policy
from crdt_sync.policy.remarks import remarks
from crdt_sync.records import parse_schema

SCHEMA = parse_schema(
    """
collection = "customers"
version = 1
[fields.name]
[fields.phone]
kind = "review"
[fields.city]
[fields.region]
filter = true
[fields.stage]
kind = "stage"
states = ["lead", "won"]
filter = true
[fields.lang]
type = "enum"
choices = ["de", "zh"]
filter = true
[fields.size]
type = "integer"
filter = true
[fields.vip]
type = "boolean"
filter = true
[fields.iban]
section = "finance"
[fields.paid]
kind = "counter"
section = "finance"
[fields.number-of-the-account-at-the-bank]
section = "finance"
""",
    "schema",
)


def problems(settings, collection="customers"):
    text = f'[[role.sales.grant]]\ncollection = "{collection}"\n{settings}\n'
    return check(parse_policy(text, "x"), {"customers": SCHEMA})


@pytest.mark.parametrize(
    "settings",
    [
        'read = ["*", "finance"]\nwrite = ["iban", "name", "*", "finance"]',
        'read = ["*", "iban"]\nmask = { iban = "last4" }',
        'read = [\'*\']\nwhere = \'stage in ["lead", "won"] and region == "" or size == 3 and vip == true\'',
        "read = ['*']\nwhere = 'stage == \"\" or lang == \"zh\" or region in user.regions'",
    ],
)
def test_what_fits_is_passed(settings):
    assert problems(settings) == []


@pytest.mark.parametrize(
    ("settings", "named", "hint"),
    [
        ('read = ["*", "nane"]', "no field or section 'nane'", "name"),
        ('read = ["*"]\nwrite = ["finanse"]', "'write': 'customers' has no field or section", "finance"),
        ('read = ["*"]\nmask = { iben = "last4" }', "'mask': 'customers' has no field 'iben'", "iban"),
        ('read = ["*"]\nmask = { iban = "last4" }', "'iban' is masked, and not read", "Name it in 'read'"),
        ('read = ["name", "region"]', "whoever has a record has all of its fields that are in no section", "section"),
        ('read = ["*", "phone"]\nmask = { phone = "phone" }', "'phone' is masked and in no section", "in the schema"),
        ('read = ["*", "paid"]\nmask = { paid = "last4" }', "'paid' is a counter", "It is hidden whole"),
        (
            'read = ["*", "number-of-the-account-at-the-bank"]\nmask = { number-of-the-account-at-the-bank = "last4" }',
            "more than 44 characters",
            "a shorter name",
        ),
        ('read = ["*", "finance"]\nmask = { iban = "last4" }', "gives no section, as 'finance'", "a grant of its own"),
        ('read = ["*", "iban"]', "in the section 'finance', which goes as a whole", "Read 'finance'"),
        ('read = ["*"]\nwrite = ["iban"]', "'iban' is written, and not read", "'read'"),
        ('read = ["*"]\nwrite = ["finance"]', "section 'finance' is written, and not read", "'read'"),
        ('read = ["*"]\nwhere = "regoin == user.id"', "has no field 'regoin'", "region"),
        ('read = ["*"]\nwhere = "city == user.id"', "'city' is no filter field", "filter = true"),
        ('read = ["*"]\nwhere = "phone == user.id"', "'phone' is no filter field", "chosen by a value or stage"),
        ("read = ['*']\nwhere = 'stage == \"wun\"'", "'stage' is never 'wun'", "won"),
        ("read = ['*']\nwhere = 'lang in [\"de\", \"fr\"]'", "'lang' is never 'fr'", "de"),
        ("read = ['*']\nwhere = 'size == \"3\"'", "never shows '3'", "numbers do not"),
        ("read = ['*']\nwhere = 'vip == 1'", "never shows 1", "numbers do not"),
        ("read = ['*']\nwhere = 'region == true'", "never shows true", "Texts stand in quotes"),
    ],
)
def test_what_does_not_fit_is_named_with_what_is_meant(settings, named, hint):
    (problem,) = problems(settings)
    assert problem.line == 1
    assert named in problem.message
    assert hint in problem.hint


def test_an_unknown_collection_is_named_and_a_reserved_one_passed():
    (problem,) = problems('read = ["*"]', "costumers")
    assert problem.message == "there is no collection 'costumers'"
    assert "customers" in problem.hint
    assert problems('read = ["*"]', "crdt-sync-schemas") == []


@pytest.mark.parametrize(
    ("text", "line", "named"),
    [
        ('operations = ["delete"]\nwrite = ["name"]', 2, "neither 'create' nor 'edit'"),
        ('operations = ["edit"]', 2, "no field may be written"),
        ('where = "region == user.region"', 2, "user.region, which no user of role 'sales' has"),
        ("[role.idle]", 4, "nobody has the role 'idle'"),
        ("[user.cleo]", 4, "user 'cleo' has no role"),
    ],
)
def test_what_is_hardly_meant_is_remarked(text, line, named):
    head = '\n[[role.sales.grant]]\ncollection = "customers"\n'
    body = text if not text.startswith("[") else ""
    tail = text if text.startswith("[") else ""
    given = f"{head}read = ['*']\n{body}\n{tail}\n[user.anna]\nrole = 'sales'\nattributes = {{ regions = 'a' }}\n"
    (found,) = remarks(parse_policy(given, "x"))
    assert named in found.message
    assert found.line == (line if body else 6)
