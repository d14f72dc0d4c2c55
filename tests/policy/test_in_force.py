from crdt_sync.policy.in_force import Heard, InForce
from crdt_sync.policy.reading import parse_policy

TEXT = """
[[role.sales.grant]]
collection = "customers"
where = "owner == user.id"
read = ["*"]
write = ["phone"]
operations = ["edit"]

[user.anna]
role = "sales"
"""


def test_rights_are_those_of_the_policy_and_made_once():
    held = InForce(3, parse_policy(TEXT, "a test"))
    assert held.rights("anna").on("customers", {"owner": "anna"}).writes("phone", "")
    assert not held.rights("anna").on("customers", {"owner": "ben"}).held
    assert held.rights("anna") is held.rights("anna")


def test_whoever_is_not_named_may_nothing_and_leaves_nothing_behind():
    held = InForce(3, parse_policy(TEXT, "a test"))
    assert held.rights("eve").barred == "the policy names no such user"
    assert held == InForce(3, held.policy)
    assert held._rights == {}


LATER = "[a_later_form]\n"


def test_a_text_that_cannot_be_read_gives_nobody_anything_and_is_no_absence_of_a_policy():
    held = Heard()
    assert held.of(0, None) is None
    unread = held.of(3, LATER)
    assert (unread.version, unread.is_unread, unread.policy.users) == (3, True, {})
    assert not unread.rights("anna").on("customers", {"owner": "anna"}).held
    assert held.of(3, LATER) is unread
    assert held.of(4, LATER + LATER).version == 4
    read = held.of(5, TEXT)
    assert not read.is_unread
    assert held.of(6, LATER) is read


def test_the_same_text_said_again_is_in_force_by_its_new_version():
    held = Heard()
    assert [held.of(version, TEXT).version for version in (1, 2, 2)] == [1, 2, 2]
    assert held.of(2, TEXT) is held.of(2, TEXT)
