"""Who is to hear of a change, in small examples; `test_properties` compares any with a full scan."""

import pytest

from crdt_sync.policy import index as index_module
from crdt_sync.policy.cells import cells_of
from crdt_sync.policy.index import Audience, Index
from crdt_sync.policy.reading import parse_policy
from crdt_sync.policy.rights import met, rights_of

POLICY = parse_policy(
    """
[[role.sales.grant]]
collection = "customers"
where = "region in user.regions"
read = ["name"]
[[role.sales.grant]]
collection = "customers"
where = "owner == user.id"
read = ["*", "finance"]
[[role.office.grant]]
collection = "customers"
read = ["*"]
[user.anna]
role = "sales"
attributes = { regions = ["North", "East"] }
[user.ben]
role = "sales"
attributes = { regions = ["North"] }
[user.otto]
role = "office"
""",
    "policy",
)


@pytest.fixture
def index():
    made: Index[str] = Index()
    for user in POLICY.users:
        made.put(user, cells_of(rights_of(POLICY, user)))
    return made


def shows(region, owner=None):
    return {"region": region, "owner": owner}


@pytest.mark.parametrize(
    ("old", "new", "leavers", "joiners", "stayers", "altered"),
    [
        (shows("North"), shows("North"), "", "", "anna ben otto", ""),
        (shows("North"), shows("East"), "ben", "", "anna otto", ""),
        (shows("South"), shows("North"), "", "anna ben", "otto", ""),
        (shows("North"), shows("North", "anna"), "", "", "anna ben otto", "anna"),
        (shows("North", "anna"), shows("South", "ben"), "anna", "", "ben otto", "ben"),
        (shows("North", "anna"), shows("South", "anna"), "ben", "", "anna otto", "anna"),
        (None, shows("East", "ben"), "", "anna ben otto", "", ""),
        (shows("East"), None, "anna otto", "", "", ""),
        ({"owner": "ben"}, shows(None, "ben"), "", "", "ben otto", ""),
    ],
)
def test_a_change_has_its_leavers_joiners_stayers_and_those_who_see_other_fields(
    index, old, new, leavers, joiners, stayers, altered
):
    expected = Audience(*({*each.split()} for each in (leavers, joiners, stayers, altered)))
    assert index.change("customers", old, new) == expected


def test_another_collection_reaches_nobody(index):
    assert index.change("shops", shows("North"), shows("East")) == Audience(set(), set(), set(), set())
    assert index.holders("shops", shows("North")) == set()


def test_whoever_has_gone_hears_nothing_and_leaves_nothing_behind(index):
    for user in POLICY.users:
        assert user in index
        index.remove(user)
        index.remove(user)
    assert len(index) == 0
    assert index.holders("customers", shows("North", "anna")) == set()
    assert not index._shelves


def test_a_condition_that_is_the_same_for_many_is_asked_once(monkeypatch):
    text = """
    [[role.sales.grant]]
    collection = "customers"
    where = "stage == 'lead' and vip == true"
    read = ["*"]
    """
    users = [f"u{number}" for number in range(50)]
    policy = parse_policy(text + "".join(f"[user.{user}]\nrole = 'sales'\n" for user in users), "policy")
    made: Index[str] = Index()
    for user in users:
        made.put(user, cells_of(rights_of(policy, user)))
    asked = []
    monkeypatch.setattr(index_module, "met", lambda *given: asked.append(given) or met(*given))
    assert made.holders("customers", {"stage": "lead", "vip": True}) == set(users)
    assert made.holders("customers", {"stage": "lead", "vip": False}) == set()
    assert len(asked) == 2


def test_whoever_may_hold_nothing_any_more_is_here_and_hears_nothing(index):
    index.put("otto", frozenset())
    assert "otto" in index
    assert index.holders("customers", shows("South")) == set()
