"""What a device keeps of its membership, and takes of what it is told."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from crdt_sync.errors import KeyUnusable
from crdt_sync.identity import statements
from crdt_sync.identity.invites import Link
from crdt_sync.identity.policy_text import PolicyText
from crdt_sync.identity.revocations import Revocations, Revoked
from crdt_sync.membership import folder, member
from crdt_sync.membership.facts import Facts, read_facts
from crdt_sync.membership.member import Membership
from crdt_sync.storage.wiping import wipe
from crdt_sync.strict_cbor import dumps, loads
from tests.identity.cast import (
    DAY_US,
    FOREIGN_KEY,
    LAPTOP,
    NEXT_KEY,
    NOW,
    OTHER_SPACE,
    PHONE,
    SPACE,
    SPACE_KEY,
    keys,
    reason,
    said,
    token,
)

BEGUN = said(keys(SPACE_KEY))
POLICY = "[role.sales]\n[user.anna]\nrole = 'sales'\n[user.ben]\nrole = 'sales'\ndisabled = true\n"
LINK = Link("ws://relay", SPACE, SPACE_KEY.public, b"", b"s" * 16)


class Kept:
    """A membership, and what of it is on the disk."""

    def __init__(self, **facts: Any) -> None:
        self.kept: list[Facts] = []
        chosen = Facts(**{"space": SPACE, "anchor": SPACE_KEY.public.raw, "address": "ws://relay", **facts})
        self.member = Membership(chosen, PHONE, self.keep)
        self.member.now = lambda: NOW

    def keep(self, facts: Facts) -> None:
        self.kept.append(read_facts(facts.packed()))

    @property
    def last(self) -> Facts:
        return self.kept[-1]


@pytest.fixture
def kept() -> Kept:
    return Kept(token=token(), statements=(BEGUN,))


def test_what_is_heard_is_kept_before_anybody_hears_of_it(kept) -> None:
    heard = []
    kept.member.listen(lambda: heard.append(kept.last.statements))
    raw = said(Revocations())
    assert kept.member.hear([raw])
    assert heard == [(BEGUN, raw)]
    assert not kept.member.hear([raw, BEGUN])
    assert len(kept.kept) == len(heard) == 1


def test_who_listens_no_more_hears_nothing(kept) -> None:
    heard = []
    forget = kept.member.listen(lambda: heard.append(1))
    forget()
    forget()
    kept.member.hear([said(Revocations())])
    assert heard == []


def test_what_cannot_be_kept_raises_and_is_kept_the_next_time() -> None:
    full = Kept(statements=(BEGUN,))

    def fails(_: Facts) -> None:
        raise KeyUnusable("the disk is full", "Free space.")

    full.member._keep = fails
    with pytest.raises(KeyUnusable):
        full.member.hear([said(Revocations())])
    full.member._keep = full.keep
    full.member.hear([said(PolicyText(POLICY))])
    assert len(full.last.statements) == 3


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        (b"", "statement_malformed"),
        (said(Revocations(), FOREIGN_KEY).replace(FOREIGN_KEY.public.kid, SPACE_KEY.public.kid), "statement_forged"),
        (said(Revocations(), space=OTHER_SPACE), "statement_foreign_space"),
        (said(Revocations(), NEXT_KEY), None),  # of a key that is not known here yet
        (BEGUN, None),
    ],
)
def test_what_nobody_of_the_space_says_is_refused_after_the_rest_was_taken(kept, raw, expected) -> None:
    policy = said(PolicyText(POLICY))
    assert reason(lambda: kept.member.hear([raw, policy])) == expected
    assert kept.last.statements == (BEGUN, policy)


def test_a_contradiction_is_passed_over_as_it_may_be_told_in_good_faith(kept) -> None:
    kept.member.hear([said(Revocations())])
    assert not kept.member.hear([said(Revocations({}, {"anna": 1}))])
    assert kept.member.statements.contradictions


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (token(LAPTOP), "token_malformed"),
        (token(by=FOREIGN_KEY), "token_unknown_key"),
        (token(space=OTHER_SPACE), "token_foreign_space"),
        ("a.b.c", "token_malformed"),
    ],
)
def test_a_token_that_is_not_this_devices_is_not_taken(kept, text, expected) -> None:
    assert reason(lambda: kept.member.take_token(text)) == expected
    assert kept.kept == []
    assert kept.member.facts.token == token()


def test_a_token_is_taken_whatever_the_time_is_here(kept) -> None:
    later = token(now=NOW + 400 * DAY_US)
    assert kept.member.take_token(later).issued == NOW + 400 * DAY_US
    assert kept.last.token == later


def test_a_new_token_is_asked_for_where_the_old_one_is_over_or_was_refused(kept) -> None:
    assert not kept.member.renews(NOW)
    assert kept.member.renews(NOW + 14 * DAY_US)
    assert not kept.member.token_refused("device_revoked")
    assert not kept.member.renews(NOW)
    assert kept.member.token_refused("token_unknown_key")
    assert kept.member.renews(NOW)
    assert not kept.member.token_refused("token_unknown_key")  # it was asked for, and that is refused too
    kept.member.take_token(token(now=NOW + DAY_US))
    assert not kept.member.renews(NOW)


def test_the_policy_that_was_heard_is_in_force_and_one_of_a_later_form_is_not(kept) -> None:
    assert kept.member.in_force() is None
    kept.member.hear([said(PolicyText(POLICY))])
    in_force = kept.member.in_force()
    assert (in_force.version, sorted(in_force.policy.users)) == (1, ["anna", "ben"])
    assert kept.member.in_force() is in_force
    kept.member.hear([said(PolicyText("[a_later_form]\n"), version=2)])
    assert kept.member.in_force() is in_force


def test_what_a_key_that_holds_says_is_in_force_whatever_version_a_retired_one_gave_it(kept) -> None:
    """A thief with the space's key has said a policy; the next key says another one, under the same version."""
    stolen = POLICY.replace("disabled = true\n", "")
    kept.member.hear([said(PolicyText(stolen))])
    assert not kept.member.in_force().policy.users["ben"].disabled
    kept.member.hear([said(keys(SPACE_KEY, NEXT_KEY), version=2), said(keys(SPACE_KEY, NEXT_KEY), NEXT_KEY, 3)])
    kept.member.hear([said(keys(NEXT_KEY), NEXT_KEY, 4), said(PolicyText(POLICY), NEXT_KEY)])
    assert kept.member.in_force().policy.users["ben"].disabled


@pytest.mark.parametrize(
    ("body", "user", "expected"),
    [
        (PolicyText(POLICY), "anna", None),
        (PolicyText(POLICY), "ben", "user_disabled"),
        (PolicyText(POLICY), "carl", "user_disabled"),
        (PolicyText("[a_later_form]\n"), "anna", "policy_unread"),
        (Revocations({}, {"anna": 1}), "anna", "user_disabled"),
        (Revocations({PHONE.public.device: Revoked(1, wipe=False)}), "anna", "device_revoked"),
        (Revocations({LAPTOP.public.device: Revoked(1, wipe=False)}), "anna", None),
    ],
)
def test_who_is_out_is_so_by_revocations_or_by_the_policy(body, user, expected) -> None:
    kept = Kept(token=token(user=user), statements=(BEGUN,))
    kept.member.hear([said(body)])
    assert reason(kept.member.check_out) == expected


def test_an_order_to_wipe_is_kept_until_it_was_confirmed_whatever_is_said_later(kept) -> None:
    kept.member.hear([said(Revocations({PHONE.public.device: Revoked(1, wipe=True)}))])
    assert kept.last.wiping
    kept.member.hear([said(Revocations(), version=2)])
    assert kept.last.wiping
    assert kept.member.wiping


def test_an_order_to_wipe_another_device_is_none(kept) -> None:
    kept.member.hear([said(Revocations({LAPTOP.public.device: Revoked(1, wipe=True)}))])
    assert not kept.last.wiping


# --- on the disk ---------------------------------------------------------------------------------------------


def test_what_is_kept_comes_back(tmp_path) -> None:
    joining = folder.joining(tmp_path, LINK)
    assert (joining.secret, joining.facts.pinned) == (LINK.secret, False)
    assert folder.load(tmp_path) is None
    pair = folder.own_key(tmp_path)
    assert joining.pair.public == pair.public
    joining.take_token(token(pair))
    again = folder.load(tmp_path)
    assert (again.facts, again.pair.public) == (joining.facts, pair.public)
    assert folder.joining(tmp_path, replace(LINK, certificate=b"c" * 32)).facts == again.facts
    assert folder.is_member(tmp_path)


def test_a_device_is_in_one_space(tmp_path) -> None:
    joining = folder.joining(tmp_path, LINK)
    joining.take_token(token(joining.pair))
    with pytest.raises(KeyUnusable, match="another space"):
        folder.joining(tmp_path, replace(LINK, space=OTHER_SPACE))


@pytest.mark.parametrize("name", [folder.MEMBER_FILE, folder.KEY_FILE])
@pytest.mark.parametrize("spoil", [lambda path: path.write_bytes(b"\x80"), lambda path: path.write_bytes(b"")])
def test_what_is_damaged_is_said_so(tmp_path, name, spoil: Callable[[Any], object]) -> None:
    joining = folder.joining(tmp_path, LINK)
    joining.take_token(token(joining.pair))
    spoil(tmp_path / name)
    with pytest.raises(KeyUnusable) as error:
        folder.load(tmp_path)
    assert error.value.hint


def test_statements_that_do_not_hold_are_said_so(tmp_path) -> None:
    joining = folder.joining(tmp_path, LINK)
    joining._keep(replace(joining.facts, statements=(said(keys(FOREIGN_KEY), FOREIGN_KEY),)))
    with pytest.raises(KeyUnusable, match="member"):
        folder.load(tmp_path)


def test_what_is_destroyed_is_all_but_the_membership_and_what_is_nobody_of_ours(tmp_path) -> None:
    for name in ("data.mdb", "lock.mdb", "data.mdb.unfinished", "token", "relay.toml", "member", "device.key", "mine"):
        (tmp_path / name).write_text("Müller")
    for copied in ("format-3-2026-01-01", "exports"):
        (tmp_path / copied).mkdir()
        (tmp_path / copied / "data.mdb").write_text("Müller")
    wipe(tmp_path)
    wipe(tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {"member", "device.key", "mine"}
    folder.forget(tmp_path)
    folder.forget(tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {"mine"}


# --- planted bugs --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("planted", "noticed_by"),
    [
        (
            (statements, "_HOSTILE", frozenset()),
            lambda: test_what_nobody_of_the_space_says_is_refused_after_the_rest_was_taken,
        ),
        (
            (member, "_RENEWABLE", frozenset()),
            lambda: test_a_new_token_is_asked_for_where_the_old_one_is_over_or_was_refused,
        ),
    ],
)
def test_a_planted_bug_is_noticed(monkeypatch, kept, planted, noticed_by) -> None:
    monkeypatch.setattr(*planted)
    found = noticed_by()
    arguments = (kept, b"", "statement_malformed") if planted[0] is statements else (kept,)
    with pytest.raises(AssertionError):
        found(*arguments)


def test_a_user_check_that_forgets_the_policy_is_noticed(monkeypatch) -> None:
    monkeypatch.setattr(member, "check_user", lambda statements, _, user, __: statements.revocations.check_user(user))
    with pytest.raises(AssertionError):
        test_who_is_out_is_so_by_revocations_or_by_the_policy(PolicyText(POLICY), "carl", "user_disabled")


def test_whose_device_it_is_stays_known_when_the_key_of_its_token_holds_no_more(kept) -> None:
    kept.member.hear([said(keys(SPACE_KEY, NEXT_KEY), version=2), said(keys(NEXT_KEY), NEXT_KEY, 3)])
    assert kept.member.claims() is None
    assert kept.member.user == kept.last.user == "anna"
    assert kept.member.renews(NOW)


def test_what_a_release_kept_that_knew_no_user_is_read() -> None:
    facts = Facts(SPACE, SPACE_KEY.public.raw, "ws://relay", token=token(), statements=(BEGUN,))
    former = dumps((1, *loads(facts.packed(), items_max=32, depth_max=2)[1:-1]))  # type: ignore[index]
    assert read_facts(former) == facts
    assert Membership(read_facts(former), PHONE, lambda _: None).user == "anna"
