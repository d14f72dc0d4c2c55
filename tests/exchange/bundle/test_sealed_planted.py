"""Bugs planted where bundles are sealed and opened: the tests of sealed bundles notice each."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest

from crdt_sync.errors import CrdtSyncError
from tests.exchange.bundle import test_sealed as honest
from tests.exchange.bundle.test_sealed import Device


@dataclass(frozen=True)
class Bug:
    """What is put in the place of what, and the test that notices it, with what it is called."""

    where: str
    wrong: object
    noticed: Callable[..., None]
    arguments: tuple[str, ...]
    more: tuple[object, ...] = ()


INSIDE, RECIPIENTS = "crdt_sync.exchange.bundle.inside", "crdt_sync.exchange.bundle.recipients"
BUGS = {
    "the signature is not checked": Bug(
        "crdt_sync.identity.keys.PublicKey.signed",
        lambda *_: True,
        honest.test_who_did_not_sign_is_not_believed_to_have_made_it,
        ("device", "chen", "anna", "monkeypatch"),
        ("another key",),
    ),
    "the signature is over the end alone": Bug(
        "crdt_sync.exchange.bundle.reader.message",
        lambda _, end: end,
        honest.test_what_is_sealed_to_a_role_is_what_each_of_it_may_hold,
        ("device", "chen"),
    ),
    "nobody asks whether the maker is out": Bug(
        "crdt_sync.identity.revocations.Revocations.check",
        lambda *_: None,
        honest.test_what_was_made_by_who_is_out_is_refused,
        ("chen", "anna"),
        ("device",),
    ),
    "a token that is over counts for ever": Bug(
        f"{INSIDE}._heard",
        lambda member: member.now(),
        honest.test_a_token_that_is_over_counts_if_this_device_would_know_that_its_device_is_out,
        ("chen", "anna"),
    ),
    "a role gets what one of it may hold": Bug(
        f"{RECIPIENTS}.all",
        any,
        honest.test_what_is_sealed_to_a_role_is_what_each_of_it_may_hold,
        ("device", "chen"),
    ),
    "devices that are out are sealed to": Bug(
        "crdt_sync.identity.revocations.Revocations.check_device",
        lambda *_: None,
        honest.test_devices_that_are_out_are_left_out,
        ("device",),
    ),
    "nobody asks who may bundle": Bug(
        f"{RECIPIENTS}.Rights.possible",
        lambda *_: {"bundle"},
        honest.test_who_is_not_allowed_to_bundle_bundles_nothing,
        ("device",),
    ),
    "what the space said inside is not heard": Bug(
        "crdt_sync.membership.member.Membership.hear",
        lambda *_: False,
        honest.test_newer_words_of_the_space_come_with_a_bundle_and_older_ones_change_nothing,
        ("device", "chen", "anna"),
    ),
    "what may not be held is taken": Bug(
        "crdt_sync.replica.context.Context.may_hold",
        lambda *_: True,
        honest.test_a_maker_gives_nobody_what_that_one_may_not_hold_even_if_it_would,
        ("chen", "anna", "monkeypatch"),
    ),
}


@pytest.mark.parametrize("name", BUGS)
def test_a_planted_bug_is_noticed(name: str, tmp_path, monkeypatch) -> None:
    bug = BUGS[name]
    chen = Device(13, tmp_path)
    for region in ("North", "South", "Both"):
        chen.new(f"in {region}", region)
    given: dict[str, Any] = {
        "device": lambda seed, **how: Device(seed, tmp_path, **how),
        "chen": chen,
        "anna": Device(11, tmp_path),
        "tmp_path": tmp_path,
        "monkeypatch": monkeypatch,
    }
    monkeypatch.setattr(bug.where, bug.wrong, raising=False)
    with pytest.raises((AssertionError, pytest.fail.Exception, CrdtSyncError)):
        bug.noticed(*(given[argument] for argument in bug.arguments), *bug.more)
