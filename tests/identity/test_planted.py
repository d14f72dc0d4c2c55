"""Bugs that are planted, each of which a test of identity notices."""

import base64
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from crdt_sync.identity import enrolling, handshake, invites, keys, presented, statements, tokens
from crdt_sync.identity.claims import Claims
from crdt_sync.identity.registry import MemoryRegistry
from tests.identity import (
    test_enrolling,
    test_handshake,
    test_invites,
    test_keys,
    test_statement,
    test_statements,
    test_tokens,
)
from tests.identity.cast import NOW

Plant = Callable[[pytest.MonkeyPatch], None]
_signed = handshake.Handshake._signed


def _without(part: str, value: Any) -> Plant:
    """A proof that is not over a part of what it should be."""

    def forgetful(self: handshake.Handshake, role: str, subject: bytes) -> bytes:
        if part == "role":
            return _signed(self, "dialer", subject)
        if part == "subject":
            return _signed(self, role, b"")  # type: ignore[arg-type]
        return _signed(replace(self, **{part: value}), role, subject)  # type: ignore[arg-type]

    return lambda patch: patch.setattr(handshake.Handshake, "_signed", forgetful)


def _elsewhere(name: str) -> Callable[[], None]:
    return lambda: test_handshake.test_no_proof_is_worth_anything_on_another_connection(test_handshake.ELSEWHERE[name])


def _lax_base64(patch: pytest.MonkeyPatch) -> None:
    def lax(text: str) -> bytes | None:
        try:
            return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
        except ValueError:
            return None

    patch.setattr(tokens, "decoded", lax)
    patch.setattr(presented, "decoded", lax)


def _any_algorithm(patch: pytest.MonkeyPatch) -> None:
    class Anything(str):
        __hash__ = str.__hash__

        def __ne__(self, other: object) -> bool:
            return False

    patch.setattr(tokens, "ALGORITHM", Anything("EdDSA"))


def _any_signature(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(keys.PublicKey, "signed", lambda *_: True)


def _kept_in_force(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(statements.Statements, "_is_retired", lambda self, held: False)


def _retired_keys_sign(patch: pytest.MonkeyPatch) -> None:
    sound = statements.Statements._key_for
    patch.setattr(
        statements.Statements,
        "_key_for",
        lambda self, came: self._ever.get(came.kid) if came.kind != "keys" else sound(self, came),
    )


def _remembered_whatever(patch: pytest.MonkeyPatch) -> None:
    sound = tokens.Tokens.read
    patch.setattr(
        tokens.Tokens,
        "read",
        lambda self, text: self._cached[text][1] if text in self._cached else sound(self, text),
    )


def _first_come_all_served(patch: pytest.MonkeyPatch) -> None:
    sound = MemoryRegistry.use

    def use(self: MemoryRegistry, lookup: bytes, device: bytes) -> enrolling.Invite | None:
        used = sound(self, lookup, device)
        return None if used is None else replace(used, device=device)

    patch.setattr(MemoryRegistry, "use", use)


def _standing_first(patch: pytest.MonkeyPatch) -> None:
    sound = tokens.Tokens.read

    def read(self: tokens.Tokens, text: str) -> Claims:
        claims = sound(self, text)
        self.check_standing(claims, NOW)
        return claims

    patch.setattr(tokens.Tokens, "read", read)


PLANTED: dict[str, tuple[Plant, Callable[[], None]]] = {
    "a proof is the same at both ends": (
        _without("role", None),
        test_handshake.test_a_proof_that_is_sent_back_is_none,
    ),
    "a proof is of any dialer's nonce": (
        _without("dialer_nonce", bytes(16)),
        _elsewhere("replayed to a dialer's other nonce"),
    ),
    "a proof is of any acceptor's nonce": (
        _without("acceptor_nonce", bytes(16)),
        _elsewhere("replayed to an acceptor's other nonce"),
    ),
    "a proof is of any certificate": (_without("binding", b""), _elsewhere("behind another certificate")),
    "a proof is of any space": (_without("space", bytes(16)), _elsewhere("in another space")),
    "a proof is of any token": (_without("subject", None), test_handshake.test_a_proof_belongs_to_one_token),
    "a stolen token is believed": (
        lambda patch: patch.setattr(handshake.Handshake, "_check", lambda *_: None),
        test_handshake.test_a_stolen_token_opens_nothing,
    ),
    "standing is told before the key is proved": (
        _standing_first,
        test_handshake.test_what_is_wrong_with_the_token_is_told_to_who_has_the_key_alone,
    ),
    "a token chooses its algorithm": (
        _any_algorithm,
        lambda: test_tokens.test_no_other_algorithm_is_taken_even_with_a_signature_that_holds("none"),
    ),
    "a signature is not looked at": (_any_signature, test_tokens.test_tokens_of_others_do_not_hold),
    "several texts are one proof": (
        _lax_base64,
        lambda: test_handshake.test_no_bit_of_a_proof_can_be_changed(test_handshake.SHOWN[0]),
    ),
    "tokens last for ever": (
        lambda patch: patch.setattr(Claims, "check_times", lambda *_: None),
        test_tokens.test_it_holds_from_when_it_was_issued_until_it_expires,
    ),
    "a checked token outlives its key": (
        _remembered_whatever,
        test_tokens.test_a_token_of_a_key_that_was_rotated_out_holds_no_more,
    ),
    "a revoked device is let in": (
        lambda patch: patch.setattr(tokens.Tokens, "check_standing", lambda *_: None),
        test_tokens.test_a_revoked_device_and_a_disabled_user_are_out_though_their_token_was_checked_before,
    ),
    "weak keys are taken": (
        lambda patch: patch.setattr(keys, "_WEAK", frozenset()),
        test_keys.test_keys_under_which_anybody_can_sign_are_refused,
    ),
    "a statement is of any key": (
        lambda patch: patch.setattr(keys.PublicKey, "signed", lambda *_: True),
        test_statement.test_who_else_signs_is_found_out,
    ),
    "statements go backwards": (
        lambda patch: patch.setattr(statements.Statements, "_gives_way", lambda *_: True),
        test_statements.test_in_whatever_order_statements_come_the_same_ones_hold,
    ),
    "contradictions pass unseen": (
        lambda patch: patch.setattr(statements.Statements, "_contradict", lambda *_: None),
        test_statements.test_two_of_one_version_are_reported_and_the_first_one_holds,
    ),
    "retired keys sign": (
        _retired_keys_sign,
        test_statements.test_keys_overlap_and_then_the_old_one_is_retired,
    ),
    "what a stolen key signed stays": (
        _kept_in_force,
        test_statements.test_what_a_stolen_key_had_signed_goes_with_its_retirement_and_nobody_is_let_in_between,
    ),
    "what a stolen key signed stays, somewhere": (
        _kept_in_force,
        test_statements.test_whoever_hears_all_of_it_in_whatever_order_knows_what_holds,
    ),
    "an invite brings in everybody": (
        _first_come_all_served,
        test_enrolling.test_another_device_does_not_join_with_the_same_invite,
    ),
    "a damaged link is opened": (
        lambda patch: patch.setattr(invites, "_checksum", lambda _: bytes(4)),
        test_invites.test_no_bit_of_one_can_be_changed,
    ),
}


@pytest.mark.parametrize("name", list(PLANTED))
def test_a_planted_bug_is_noticed(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    plant, noticed = PLANTED[name]
    noticed()
    with monkeypatch.context() as patch:
        plant(patch)
        with pytest.raises((AssertionError, ExceptionGroup, pytest.fail.Exception)):
            noticed()
