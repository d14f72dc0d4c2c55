"""Bugs that are planted where identities are wired in, each of which a test notices."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from crdt_relay import authority, device_guest, registry, review, reviewing, space
from crdt_sync.errors import CrdtSyncError
from crdt_sync.identity import revocations
from crdt_sync.identity.handshake import Handshake
from crdt_sync.identity.presented import TokenProof, read
from crdt_sync.runtime import greeting, guests, handing_in
from crdt_sync.runtime.hosting import people
from tests.relay import test_people, test_people_attacked, test_people_by_tls, test_review
from tests.relay.people import patience

pytestmark = pytest.mark.usefixtures("local_workers")

Plant = Callable[[pytest.MonkeyPatch], None]
Noticed = Callable[[Path], Any]


def _set(owner: object, name: str, value: object) -> Plant:
    return lambda patch: patch.setattr(owner, name, value)


def _attack(attack: Any, expected: str) -> Noticed:
    return lambda tmp_path: test_people_attacked.test_what_comes_of_an_attack(tmp_path, attack, expected)


class _Unbound(Handshake):
    """Proofs over no certificate."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "binding", b"")


PLANTED: dict[str, tuple[Plant, Noticed]] = {
    "a relay takes any token of its space, whoever shows it": (
        _set(
            Handshake,
            "check_device",
            lambda self, end, text, tokens, now: tokens.check(read(text, TokenProof).token, now),
        ),
        _attack(test_people_attacked.stolen_token, "proof_invalid"),
    ),
    "who is out stays connected": (
        _set(device_guest.DeviceGuest, "check", lambda self: None),
        test_people_attacked.test_a_revoked_device_pushes_nothing_more,
    ),
    "a user whom the policy does not name is let in": (
        _set(authority, "check_user", lambda statements, policy, user, now: statements.revocations.check_user(user)),
        lambda tmp_path: test_people.test_who_is_shut_out_is_out_within_a_second_and_stays_out(tmp_path, "policy"),
    ),
    "who is not let in hears of the policy": (
        _set(guests, "_OUT", frozenset()),
        test_people.test_a_device_that_was_away_hears_as_its_space_said_it_why_it_is_out_and_nothing_of_the_policy,
    ),
    "tokens are never renewed": (
        _set(device_guest.DeviceGuest, "due_token", lambda self: None),
        test_people.test_a_token_is_renewed_within_a_session_and_after_its_end,
    ),
    "the first device does not have the invite": (
        _set(registry.StoreRegistry, "use", lambda self, lookup, device: self.find(lookup)),
        test_people.test_an_invite_opens_once_and_for_the_same_device_again,
    ),
    "a dialer believes any relay": (
        _set(Handshake, "check_space", lambda self, text, keys: keys.newest),
        test_people_attacked.test_an_invite_is_not_told_to_a_relay_that_does_not_prove_the_key_in_it,
    ),
    "a dialer looks at no certificate": (
        _set(greeting, "Handshake", _Unbound),
        lambda tmp_path: test_people_by_tls.test_a_certificate_that_signs_itself_is_enough_and_may_change(
            tmp_path, "websocket"
        ),
    ),
    "what devices bring is not heard": (
        _set(authority.Authority, "hear", lambda self, statements: False),
        test_people.test_what_devices_know_comes_back_to_a_relay_whose_backup_was_put_back,
    ),
    "news are told to nobody": (
        _set(people.People, "changed", lambda self: None),
        test_people_attacked.test_a_revoked_device_pushes_nothing_more,
    ),
    "a relay whose space lost its word serves everybody": (
        _set(space, "check_identities", lambda settings, people: None),
        lambda tmp_path: test_people.test_nobody_is_let_in_where_the_key_or_what_was_said_is_lost(tmp_path, "store"),
    ),
    "a wipe is noted though nobody ordered it": (
        _set(
            device_guest.DeviceGuest,
            "_note_wiped",
            lambda self, key, now: self._authority.registry.note(
                replace(self._authority.registry.device(key.device), wiped=now)
            ),
        ),
        _attack(test_people_attacked.wiped_though_nobody_said_so, "proof_malformed"),
    ),
    "what is handed in in the name of somebody else is applied": (
        _set(reviewing, "_by_itself", lambda verdict, user: verdict),
        test_review.test_what_a_thief_hands_in_is_not_trusted,
    ),
    "it counts as handed in before the relay has it": (
        _set(handing_in, "TAKEN", "unavailable"),
        test_review.test_a_device_hands_in_once_one_after_the_other_and_only_if_it_is_out,
    ),
    "a device hands in as often as it likes": (
        _set(review.Review, "of", lambda self, device: None),
        test_review.test_a_device_hands_in_once_one_after_the_other_and_only_if_it_is_out,
    ),
    "the relay takes what nobody asked for": (
        _set(revocations.Revocations, "check_device", lambda self, device: None),
        test_review.test_a_device_hands_in_once_one_after_the_other_and_only_if_it_is_out,
    ),
}


@pytest.mark.parametrize("bug", PLANTED)
def test_a_planted_bug_is_noticed(bug: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plant, noticed = PLANTED[bug]
    plant(monkeypatch)
    monkeypatch.setattr(patience, "seconds", 5.0)  # where a bug has it wait for what never comes
    with pytest.raises((AssertionError, pytest.fail.Exception, CrdtSyncError, TimeoutError, ExceptionGroup)):
        noticed(tmp_path)
