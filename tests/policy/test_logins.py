"""What a policy gives to who logs in, as it is read, kept, told and compared."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from datetime import UTC, datetime
from unittest.mock import patch

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crdt_relay import policy_report
from crdt_sync import limits
from crdt_sync.errors import InvalidPolicy
from crdt_sync.policy import reading
from crdt_sync.policy.differences import difference
from crdt_sync.policy.login_users import with_users, without_users
from crdt_sync.policy.logins import Given, LoggedIn, Logins
from crdt_sync.policy.model import User
from crdt_sync.policy.packed import packed, unpacked
from crdt_sync.policy.reading import parse_policy
from crdt_sync.policy.remarks import remarks
from crdt_sync.policy.rights import rights_of
from crdt_sync.policy.settings import is_name

BASE = """
[[role.sales.grant]]
collection = "customers"
where = "region in user.regions"
read = ["*"]

[[role.chief.grant]]
collection = "customers"
read = ["*"]

[user.anna]
role = "chief"
"""
LOGIN = """
[login]
claim = "groups"
days = 30

[login.map.sales-north]
role = "sales"
attributes = { regions = "North" }

[login.map."CN=South, OU=销售"]
role = "sales"
attributes = { regions = ["South", "North"], floor = 2 }

[login.map.chiefs]
role = "chief"
"""
TEXT = BASE + LOGIN
SOUTH = "CN=South, OU=销售"
AT = int(datetime(2026, 12, 1, 14, 3, tzinfo=UTC).timestamp()) * 1_000_000
DAY = 24 * 3600 * 1_000_000


def read(text: str = TEXT, **users: LoggedIn):
    return parse_policy(with_users(text, users), "policy", said=bool(users))


def test_values_of_the_claim_are_matched_in_the_order_of_the_text():
    logins = read().logins
    assert logins.matched({"groups": ["chiefs", "unknown", "sales-north"]}) == ("sales-north", "chiefs")
    assert logins.matched({"groups": "chiefs"}) == ("chiefs",)
    for nothing in ({}, {"groups": None}, {"groups": {"chiefs": 1}}, {"groups": [1, ["chiefs"]]}, {"groups": "chief"}):
        assert logins.matched(nothing) == ()


def test_a_claim_may_be_a_path_and_its_own_name_comes_first():
    logins = read(TEXT.replace('"groups"', '"realm_access.roles"')).logins
    assert logins.matched({"realm_access": {"roles": ["chiefs"]}}) == ("chiefs",)
    assert logins.matched({"realm_access.roles": [], "realm_access": {"roles": ["chiefs"]}}) == ()
    assert logins.matched({"realm_access": ["roles"]}) == ()


def test_the_first_decides_the_role_and_attributes_of_that_role_unite():
    policy = read(eva=LoggedIn(AT, ("sales-north", SOUTH, "chiefs")))
    assert policy.users["eva"].role == "sales"
    assert policy.users["eva"].attributes == {"regions": ("North", "South"), "floor": (" 2",)}
    assert rights_of(policy, "eva").on("customers", {"region": "South"}).held
    assert not rights_of(policy, "eva").on("customers", {"region": "West"}).held


def test_who_is_named_is_that_user_and_whoever_has_nothing_is_none():
    policy = read(anna=LoggedIn(AT, ("sales-north",)), eva=LoggedIn(AT, ("gone",)))
    assert policy.users["anna"].role == "chief"
    assert "eva" not in policy.users


def test_a_login_is_over_after_the_days_of_the_policy():
    logins = read(eva=LoggedIn(AT, ("chiefs",))).logins
    assert logins.days_over("eva", AT + 30 * DAY - 1) is None
    assert logins.days_over("eva", AT + 30 * DAY) == 0
    assert logins.days_over("eva", AT + 32 * DAY) == 2
    assert logins.days_over("anna", AT + 99 * DAY) is None
    assert read(TEXT.replace("days = 30", ""), eva=LoggedIn(AT, ("chiefs",))).logins.days_over("eva", 2 * AT) is None


def test_whose_login_is_over_is_told_so_for_as_long_again_or_while_there_is_room():
    logins = read(eva=LoggedIn(AT, ("chiefs",)), ida=LoggedIn(AT + 20 * DAY, ("chiefs",))).logins
    assert logins.kept(AT + 60 * DAY - 1).keys() == {"eva", "ida"}
    assert logins.kept(AT + 60 * DAY).keys() == {"ida"}
    assert logins.kept(AT + 40 * DAY, room=1).keys() == {"ida"}
    assert logins.kept(AT + 29 * DAY, room=1).keys() == {"eva", "ida"}, "none is over"
    for_ever = read(TEXT.replace("days = 30", ""), eva=LoggedIn(AT, ("chiefs",))).logins
    assert for_ever.kept(2 * AT, room=0).keys() == {"eva"}


names = st.text(min_size=1, max_size=20).filter(is_name)
logged_in = st.builds(
    LoggedIn,
    st.integers(0, 4_000_000_000).map(lambda seconds: seconds * 1_000_000),
    st.lists(st.sampled_from(["sales-north", SOUTH, "chiefs", 'a "quoted" one']), unique=True).map(tuple),
)


@given(st.dictionaries(names, logged_in, max_size=5))
def test_users_at_the_end_are_read_again_and_taken_off_again(users):
    text = with_users(TEXT, users)
    policy = parse_policy(text, "policy", said=bool(users))
    assert policy.logins.users == users
    assert without_users(text, users) == TEXT
    assert unpacked(packed(policy)).users == policy.users


WRONG = {
    "another setting": (TEXT.replace("days = 30", "dayz = 30"), "has no setting 'dayz'"),
    "no claim": (TEXT.replace('claim = "groups"', ""), "names no claim"),
    "a claim that is none": (TEXT.replace('"groups"', "1"), "'claim' must be a text"),
    "no days": (TEXT.replace("days = 30", "days = -1"), "no number of days"),
    "nothing mapped": (BASE + '[login]\nclaim = "groups"\n', "maps nothing"),
    "an unknown role": (TEXT.replace('role = "chief"\n', 'role = "cheif"\n'), "there is no role 'cheif'"),
    "no role": (BASE + '[login]\nclaim = "groups"\n[login.map.x]\n', "has no role"),
    "an id": (TEXT.replace("floor = 2", "id = 2"), "'id' is the name of the user"),
    "an empty attribute": (TEXT.replace("floor = 2", 'floor = ""'), "is empty"),
    "an empty value": (TEXT.replace("map.chiefs", 'map.""'), "no value of a claim"),
    "a long value": (TEXT.replace("map.chiefs", f'map."{"x" * 201}"'), "no value of a claim"),
    "no table": ("login = 1\n" + BASE, "login must be a table"),
    "users": (with_users(TEXT, {"eva": LoggedIn(AT, ("chiefs",))}), "kept by the relay"),
    "an inline table": ('login = { claim = "groups", map = { x = { role = "sales" } } }' + BASE, "a table of its own"),
}


@pytest.mark.parametrize("what", WRONG)
def test_what_is_wrong_is_told(what):
    text, told = WRONG[what]
    with pytest.raises(InvalidPolicy, match=told):
        parse_policy(text, "policy")


def test_the_longest_value_and_the_most_of_them_are_taken():
    most = "".join(f'[login.map.g{number}]\nrole = "sales"\n' for number in range(limits.LOGIN_MAPPED_MAX))
    longest = TEXT.replace("map.chiefs", f'map."{"x" * limits.LOGIN_VALUE_LENGTH_MAX}"')
    assert len(read(BASE + '[login]\nclaim = "groups"\n' + most).logins.map) == limits.LOGIN_MAPPED_MAX
    assert read(longest).logins is not None
    with pytest.raises(InvalidPolicy, match="values are mapped"):
        read(BASE + '[login]\nclaim = "groups"\n' + most + '[login.map.more]\nrole = "sales"\n')


def test_what_is_given_is_told_in_words_and_in_what_changes():
    told = policy_report.summary_text(read())
    assert "groups = 'sales-north': role sales; regions 'North'" in told
    assert "a login holds for 30 days" in told
    newer = read(TEXT.replace('regions = "North"', 'regions = "West"'), eva=LoggedIn(AT, ("sales-north",)))
    changed = policy_report.changes_text(difference(read(eva=LoggedIn(AT, ("sales-north",))), newer))
    assert "who logs in now has: groups = 'sales-north': role sales; regions 'West'" in changed
    assert "eva:" in changed
    assert policy_report.summary(read())["login"]["map"]["chiefs"] == {"role": "chief", "attributes": {}}


def test_roles_and_attributes_that_a_login_gives_are_had_by_somebody():
    assert [each.message for each in remarks(read())] == []
    assert any("nobody has the role 'sales'" in each.message for each in remarks(read(BASE)))


days_over = Logins.days_over
PLANTED: dict[str, tuple[Callable[[], AbstractContextManager[object]], Callable[[], None]]] = {
    "whoever logs in has all": (
        lambda: patch.object(Logins, "matched", lambda self, _: tuple(self.map)),
        test_values_of_the_claim_are_matched_in_the_order_of_the_text,
    ),
    "the order of the token decides": (
        lambda: patch.object(
            Logins, "matched", lambda self, claims: tuple(x for x in claims["groups"] if x in self.map)
        ),
        test_values_of_the_claim_are_matched_in_the_order_of_the_text,
    ),
    "attributes of another role are given too": (
        lambda: patch.object(
            Logins,
            "given",
            lambda self, by: Given("sales", {name: each for x in by for name, each in self.map[x].attributes.items()}),
        ),
        test_the_first_decides_the_role_and_attributes_of_that_role_unite,
    ),
    "a login is never over": (
        lambda: patch.object(Logins, "days_over", lambda *_: None),
        test_a_login_is_over_after_the_days_of_the_policy,
    ),
    "a login is over a day late": (
        lambda: patch.object(
            Logins, "days_over", lambda self, user, now: days_over(self, user, now - 24 * 3600 * 1_000_000)
        ),
        test_a_login_is_over_after_the_days_of_the_policy,
    ),
    "who has nothing any more is a user": (
        lambda: patch.object(
            reading, "users_of", lambda logins: {each: User(each, 0, "chief") for each in logins.users}
        ),
        test_who_is_named_is_that_user_and_whoever_has_nothing_is_none,
    ),
}


@pytest.mark.parametrize("what", PLANTED)
def test_planted_bugs_are_noticed(what):
    plant, test = PLANTED[what]
    with plant(), pytest.raises((AssertionError, KeyError)):
        test()
