"""Why something is allowed or not: the grant and its line, or the nearest one and what is missing."""

import pytest

from crdt_sync.policy.explaining import Asked, explain
from crdt_sync.policy.reading import parse_policy
from crdt_sync.policy.rights import rights_of

POLICY = parse_policy(
    """
[[role.sales.grant]]
collection = "customers"
where = "region in user.regions and stage == 'lead' or owner == user.id"
read = ["*"]
mask = { phone = "phone", iban = "last4" }
write = ["name", "iban"]
operations = ["edit"]

[[role.sales.grant]]
collection = "customers"
where = "region in user.regions"
read = ["name", "phone"]

[user.anna]
role = "sales"
attributes = { regions = ["North"] }
[user.ben]
role = "sales"
[user.cleo]
[user.dora]
role = "sales"
disabled = true
""".replace('write = ["name", "iban"]', 'write = ["*", "name"]'),
    "policy",
)
SECRET = "marker-7261"
NORTH = {"region": "North", "stage": "lead", "owner": SECRET}
WON = {"region": "North", "stage": "won", "owner": SECRET}
SOUTH = {"region": SECRET, "stage": "won", "owner": SECRET}


def asked(user, values, *what):
    found = explain(rights_of(POLICY, user), "customers", values, Asked(*what))
    assert SECRET not in found.text  # an explanation travels, and the record is nobody's business
    return found


def test_what_is_allowed_names_the_grant():
    found = asked("anna", NORTH, "edit")
    assert (found.allowed, found.line, found.missing) == (True, 2, ())
    assert found.text == "role 'sales' may edit by the grant at line 2"
    assert asked("anna", NORTH, "write", "name", "").line == 2
    assert asked("anna", WON, "read", "name", "").line == 10


def test_the_grant_that_shows_a_value_is_named_before_one_that_masks_it():
    assert asked("anna", NORTH, "read", "phone", "").line == 10
    found = asked("ben", {**NORTH, "owner": "ben"}, "read", "phone", "")
    assert found.allowed
    assert "in part, by the mask 'phone' of the grant at line 2" in found.text


def test_a_denial_names_the_nearest_grant_and_what_is_missing():
    found = asked("anna", WON, "edit")
    assert (found.allowed, found.line) == (False, 2)
    assert found.missing == ('stage == "lead"',)
    found = asked("anna", SOUTH, "edit")
    assert found.missing == ("owner == user.id",)


def test_an_attribute_that_the_user_lacks_is_named():
    found = asked("ben", WON, "read", "phone", "")
    assert found.missing == ("owner == user.id",)
    found = explain(rights_of(POLICY, "ben"), "customers", {"region": "North"}, Asked("read", "phone", ""))
    assert not found.allowed
    assert "user.regions" in explain_all("ben")


def explain_all(user):
    one = parse_policy(
        '[[role.r.grant]]\ncollection = "c"\nwhere = "region in user.regions"\nread = ["*"]\n'
        f'[user.{user}]\nrole = "r"\n',
        "x",
    )
    return explain(rights_of(one, user), "c", {"region": "North"}, Asked("read", "name", "")).text


def test_what_is_masked_or_not_read_cannot_be_written():
    found = asked("anna", NORTH, "write", "iban", "")
    assert (found.allowed, found.line) == (False, 2)
    assert "masked by 'last4' cannot be written" in found.text


def test_what_no_grant_gives_is_said_so():
    assert "no grant of role 'sales' for 'customers' gives delete" in asked("anna", NORTH, "delete").text
    assert "gives read 'diary'" in asked("anna", NORTH, "read", "diary", "care").text
    found = explain(rights_of(POLICY, "anna"), "shops", {}, Asked("edit"))
    assert found.text == "role 'sales' has no grant for 'shops'"


@pytest.mark.parametrize(
    ("user", "why"), [("cleo", "has no role"), ("dora", "is disabled"), ("eve", "names no such user")]
)
def test_who_may_nothing_is_told_why(user, why):
    found = asked(user, NORTH, "edit")
    assert not found.allowed
    assert why in found.text
