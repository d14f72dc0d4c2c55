"""A policy's text: what is read, and that all that is wrong is told at once, with its lines."""

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crdt_sync.errors import InvalidPolicy, UsageError
from crdt_sync.limits import (
    ATTRIBUTE_VALUES_MAX,
    ATTRIBUTES_MAX,
    POLICY_BYTES_MAX,
    POLICY_NAME_LENGTH_MAX,
    POLICY_PROBLEMS_MAX,
    ROLE_GRANTS_MAX,
    ROLES_MAX,
)
from crdt_sync.policy.reading import parse_policy

GRANT = '[[role.sales.grant]]\ncollection = "customers"\nread = ["*"]\n'


def problems(text):
    with pytest.raises(InvalidPolicy) as caught:
        parse_policy(text, "policy.toml")
    assert caught.value.message.startswith("policy.toml: ")
    assert caught.value.hint
    assert all(each["hint"] for each in caught.value.problems)
    return [(each["line"], each["message"]) for each in caught.value.problems]


def test_roles_grants_and_users_are_read_with_their_lines():
    policy = parse_policy(
        GRANT
        + 'mask = { iban = "last4" }\n[user.anna]\nrole = "sales"\nattributes = { region = [" North", 7, true] }\n',
        "x",
    )
    (grant,) = policy.roles["sales"].grants
    assert (grant.line, grant.read, grant.write) == (1, frozenset("*"), frozenset())
    assert grant.masks == {"iban": "last4"}
    user = policy.users["anna"]
    assert (user.line, user.role, user.disabled) == (5, "sales", False)
    assert user.attributes == {"region": ("North", " 7", " true")}


@pytest.mark.parametrize(
    ("text", "line", "named"),
    [
        ("", 0, "no role"),
        ("rol = 1\n[role.x]\n", 1, "no setting 'rol'"),
        ("role = 1", 1, "role must be a table"),
        ("[role.x]\ngrants = []", 2, "no setting 'grants'"),
        ("[role.x]\ngrant = 1", 2, "must be tables"),
        ("[role.' x']", 1, "no name of a role"),
        ("[role.'']", 1, "no name of a role"),
        (GRANT.replace('collection = "customers"', ""), 1, "names no collection"),
        (GRANT.replace("customers", "My customers"), 2, "no name of a collection"),
        (GRANT.replace('"customers"', "3"), 2, "must be a text"),
        (GRANT.replace('["*"]', "[]"), 3, "reads nothing"),
        (GRANT.replace('read = ["*"]', ""), 1, "reads nothing"),
        (GRANT.replace('["*"]', '"*"'), 3, "list of texts"),
        (GRANT.replace('["*"]', '["E-mail"]'), 3, "no name of a field or section"),
        (GRANT + "write = [1]", 4, "list of texts"),
        (GRANT + 'operations = ["read"]', 4, "no operation 'read'"),
        (GRANT + 'mask = { iban = "first4" }', 4, "no mask 'first4'"),
        (GRANT + 'mask = { iban = "last4" }\nwrite = ["iban"]', 5, "cannot be written"),
        (GRANT + 'where = ""', 4, "cannot be read at its end"),
        (GRANT + "where = 3", 4, "must be a text"),
        (GRANT + 'were = "region == 1"', 4, "no setting 'were'"),
        (GRANT + "[user.anna]\nrole = 'sale'", 5, "no role 'sale'"),
        (GRANT + "[user.anna]\nrole = 3", 5, "must be a text"),
        (GRANT + "[user.anna]\ndisbled = true", 5, "no setting 'disbled'"),
        (GRANT + "[user.anna]\ndisabled = 'yes'", 5, "must be true or false"),
        (GRANT + "[user]\nanna = 3", 5, "user.anna must be a table"),
        (GRANT + '[user."A\\u030a"]', 4, "another spelling of 'Å'"),
        (GRANT + '[user."ａnna"]', 4, "another spelling of 'anna'"),
        (GRANT + '[user."anna  b"]', 4, "another spelling of 'anna b'"),
        (GRANT + '[user."a\\u200b"]', 4, "no name of a user"),
        (GRANT + "[user.anna]\nattributes = 3", 5, "must be a table"),
        (GRANT + "[user.anna.attributes]\nregion = ''", 5, "is empty"),
        (GRANT + "[user.anna.attributes]\nregion = 1.0", 5, "no field can show"),
        (GRANT + "[user.anna.attributes]\nregion = [[1]]", 5, "no field can show"),
        (GRANT + "[user.anna.attributes]\nregion = 2026-01-02", 5, "no field can show"),
        (GRANT + "[user.anna.attributes]\nregion = { a = 1 }", 5, "no field can show"),
        (GRANT + "[user.anna.attributes]\nid = 'ben'", 5, "'id' is the name of the user"),
        (GRANT + "read = ['name']", 4, "at end of document"),
        (GRANT + "read = ['name']\nx = 1", 4, "at line 4"),
        ("[role.x", 1, "at end of document"),
        ("a = " + "[" * 5_000 + "]" * 5_000, 0, "nested too deeply"),
        ("a" + ".a" * 400_000 + " = 1", 0, "more than 16 parts"),
        ("[" + "'a' . " * 100_000 + "a]", 0, "more than 16 parts"),
        ("a = " + "9" * 5000, 0, "far too long"),
    ],
)
def test_what_is_wrong_is_named_with_its_line(text, line, named):
    assert any(found == line and named in message for found, message in problems(text)), problems(text)


def test_texts_and_remarks_may_have_any_dots():
    dots = ".".join("a" * 50)
    text = f'# {dots}\n{GRANT}where = """region == "{dots}" or region == \'it is {dots}\' """\n'
    assert parse_policy(text + f'[user."{dots[:60]}"]\n', "x").users.keys() == {dots[:60]}


def test_all_is_told_at_once_and_no_more_than_can_be_read():
    text = GRANT + 'operations = ["edti"]\nwhere = "region is 1"\n[user.anna]\nrole = "sale"\n'
    assert [line for line, _ in problems(text)] == [4, 5, 7]
    many = GRANT + "".join(f"[user.u{number}]\nrol = 1\n" for number in range(POLICY_PROBLEMS_MAX + 7))
    with pytest.raises(InvalidPolicy, match="57 problems") as caught:
        parse_policy(many, "x")
    assert caught.value.message.endswith("\n7 more")
    assert len(caught.value.problems) == POLICY_PROBLEMS_MAX


def test_an_invalid_policy_is_a_usage_error_with_its_problems_for_programs():
    with pytest.raises(UsageError) as caught:
        parse_policy("", "x")
    told = caught.value.as_dict()
    assert told["error"] == "invalid_policy"
    assert told["problems"] == [{"line": 0, "message": "it has no role", "hint": "Begin with [[role.NAME.grant]]."}]


def user_with(attributes):
    return GRANT + f'[user.anna]\nrole = "sales"\nattributes = {{ {attributes} }}\n'


@pytest.mark.parametrize(
    ("text", "most"),
    [
        (lambda count: "".join(f"[role.r{number}]\n" for number in range(count)), ROLES_MAX),
        (lambda count: GRANT * count, ROLE_GRANTS_MAX),
        (lambda count: user_with(", ".join(f"a{number} = 1" for number in range(count))), ATTRIBUTES_MAX),
        (lambda count: user_with(f"a = [{', '.join(map(str, range(count)))}]"), ATTRIBUTE_VALUES_MAX),
        (lambda count: f"{GRANT}[user.{'u' * count}]\n", POLICY_NAME_LENGTH_MAX),
        (lambda count: (GRANT + "#").ljust(count, "x"), POLICY_BYTES_MAX),
    ],
    ids=["roles", "grants", "attributes", "values", "name", "bytes"],
)
def test_sizes_are_limited_on_both_sides(text, most):
    assert parse_policy(text(most), "x")
    assert problems(text(most + 1))


@given(st.text(alphabet="[]role.us\"'=\n{}sx,grant#*", max_size=80))
def test_any_text_is_read_or_refused(text):
    with suppress(InvalidPolicy):
        parse_policy(text, "x")


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("[user.sören]\nrole = 'a'\n", True),
        ("[role.a]\n[user]\n华东 = {}\n", True),
        ('[user."sören"\n', False),
        ("[user.x # sören\n", False),
    ],
)
def test_a_name_with_letters_that_need_quotes_is_told_as_that(text, says):
    with pytest.raises(InvalidPolicy) as raised:
        parse_policy(text, "x")
    assert ("stands in quotes" in raised.value.hint) is says
