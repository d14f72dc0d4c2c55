from crdt_sync.policy.in_force import InForce
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
