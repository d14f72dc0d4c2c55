"""What would change for whom."""

from crdt_sync.policy.differences import Changed, Counts, counts, difference
from crdt_sync.policy.holdings import Holdings
from crdt_sync.policy.reading import parse_policy

POLICY = """
[[role.sales.grant]]
collection = "customers"
where = "region in user.regions"
read = ["*"]
mask = { iban = "last4" }
write = ["name"]
operations = ["edit"]

[[role.sales.grant]]
collection = "customers"
where = "owner == user.id"
read = ["*"]

[role.idle]

[user.anna]
role = "sales"
attributes = { regions = ["North"], shoe = 39 }
[user.ben]
role = "sales"
attributes = { regions = ["North", "South"] }
"""
OLD = parse_policy(POLICY, "old")


def changed(*replacements, more=""):
    text = POLICY
    for before, after in replacements:
        assert before in text
        text = text.replace(before, after, 1)
    return parse_policy(text + more, "new")


def test_equal_policies_differ_in_nothing():
    assert difference(OLD, parse_policy("# as it was\n" + POLICY, "new")).empty


def test_users_for_whom_the_same_changes_stand_together():
    found = difference(OLD, changed(('"edit"]', '"delete"]'), ('["name"]', '["name", "city"]')))
    ((users, (effect,)),) = found.effects
    assert users == ("anna", "ben")
    assert (effect.operations, effect.write) == (Changed(("delete",), ("edit",)), Changed(("city",), ()))
    assert effect.read == effect.masked == effect.records == effect.attributes == Changed((), ())


def test_a_mask_a_condition_and_an_attribute_are_told():
    ((_, (effect,)),) = difference(OLD, changed(('mask = { iban = "last4" }\n', ""))).effects
    assert effect.masked == Changed((), ("iban (last4)",))
    ((_, (effect,)),) = difference(OLD, changed(("owner == user.id", "owner == user.id and vip == true"))).effects
    assert effect.records == Changed(("owner == user.id and vip == true",), ("owner == user.id",))
    ((users, (effect,)),) = difference(OLD, changed(('["North"]', '["West"]'))).effects
    assert (users, effect.attributes) == (("anna",), Changed(("regions: 'West'",), ("regions: 'North'",)))


def test_an_attribute_that_no_condition_names_changes_nothing():
    assert difference(OLD, changed((", shoe = 39", ", shoe = 40"))).empty


def test_what_is_given_for_other_records_is_told_though_no_name_changes():
    swapped = changed(
        ("region in user.regions", "X"), ("owner == user.id", "region in user.regions"), ("X", "owner == user.id")
    )
    ((_, (effect,)),) = difference(OLD, swapped).effects
    assert effect.rearranged


def test_users_and_roles_that_come_go_move_or_are_disabled():
    new = changed(
        ("[role.idle]", "[role.busy]"),
        ('[user.anna]\nrole = "sales"', '[user.anna]\nrole = "busy"'),
        ("[user.ben]", "[user.cleo]"),
        more='disabled = true\n[user.dan]\nrole = "busy"\n',
    )
    found = difference(OLD, new)
    assert found.roles == Changed(("busy",), ("idle",))
    assert found.users == Changed(("cleo", "dan"), ("ben",))
    assert found.disabled == Changed(("cleo",), ())
    assert found.moved == (("anna", "sales", "busy"),)
    lost = {user: effects[0].operations.lost for users, effects in found.effects for user in users}
    assert lost == {"anna": ("edit",), "ben": ("edit",)}
    assert difference(new, OLD).disabled == Changed((), ("cleo",))


def test_records_that_each_user_gains_and_loses_are_counted():
    holdings = Holdings("customers", ["region", "owner"])
    for number in range(30):
        holdings.put(f"customers/{number}", {"region": ("North", "South", "West")[number % 3], "owner": "ben"})
    new = changed(('["North"]', '["South"]'), ("owner == user.id", "owner == user.chief"))
    assert counts(OLD, new, [holdings]) == {
        "anna": Counts(before=10, after=10, gained=10, lost=10, altered=0),
        "ben": Counts(before=30, after=20, gained=0, lost=10, altered=20),
    }
    assert counts(OLD, OLD, [holdings]) == {}
