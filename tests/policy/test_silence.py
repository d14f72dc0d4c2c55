"""For how long devices may be without contact, as policies say it."""

import pytest

from crdt_relay import policy_report
from crdt_sync.errors import InvalidPolicy
from crdt_sync.policy.differences import difference
from crdt_sync.policy.packed import packed, unpacked
from crdt_sync.policy.reading import parse_policy
from crdt_sync.policy.silence import Silence

USERS = "[user.anna]\nrole = 'sales'\n[user.ben]\nrole = 'boss'\n[user.carl]\n"
ALL = "[devices]\nlock_after_days = 14\nwipe_after_days = 60\n"
ROLES = "[role.sales.devices]\nlock_after_days = 7\n[role.boss]\n"


def test_a_role_says_otherwise_of_what_holds_for_all():
    policy = parse_policy(ALL + ROLES + USERS, "x")
    assert policy.silence_of("anna") == Silence(7, 60)
    assert policy.silence_of("ben") == policy.silence_of("carl") == policy.silence_of("stranger") == Silence(14, 60)
    assert unpacked(packed(policy)) == policy


def test_nothing_is_said_and_nothing_is_asked_for():
    assert parse_policy("[role.sales]\n[user.anna]\nrole = 'sales'\n", "x").silence_of("anna") == Silence(0, 0)


def test_a_role_may_be_let_off():
    policy = parse_policy(ALL + "[role.boss.devices]\nlock_after_days = 0\nwipe_after_days = 0\n" + USERS[26:], "x")
    assert policy.silence_of("ben") == Silence(0, 0)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("lock_after_days = '14'", "line 2: 'lock_after_days' is no number of days"),
        ("lock_after_days = true", "line 2: 'lock_after_days' is no number of days"),
        ("wipe_after_days = -1", "line 2: 'wipe_after_days' is no number of days"),
        ("wipe_after_days = 3651", "line 2: 'wipe_after_days' is no number of days"),
        ("lock_after = 14", "line 2: devices has no setting 'lock_after'"),
        ("lock_after_days = 61\nwipe_after_days = 60", "would wipe themselves before they lock"),
    ],
)
@pytest.mark.parametrize("table", ["[devices]", "[role.sales.devices]"])
def test_what_is_wrong_is_told_with_its_line(table, text, told):
    with pytest.raises(InvalidPolicy) as error:
        parse_policy(f"{table}\n{text}\n[role.sales]\n" if table == "[devices]" else f"{table}\n{text}\n", "x")
    assert told in error.value.message


def test_a_change_of_it_is_told_to_whom_it_concerns():
    old, new = (parse_policy(text + ROLES + USERS, "x") for text in ("", ALL))
    found = difference(old, new)
    assert not found.empty
    assert policy_report.changes_text(found).splitlines() == [
        "devices of anna: lock after 7 days, wipe themselves after 60 days without contact",
        "devices of ben, carl: lock after 14 days, wipe themselves after 60 days without contact",
    ]
    assert "  devices lock after 7 days, wipe themselves after 60 days without contact" in policy_report.summary_text(
        new
    )
    assert difference(new, new).empty
