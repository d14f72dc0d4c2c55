"""A sync through the program that owns a store goes where it was to go, in the way that was chosen."""

import asyncio
from dataclasses import astuple
from pathlib import Path
from typing import cast

import pytest

from crdt_sync import Address, strict_cbor
from crdt_sync.errors import OwnerGone, UsageError
from crdt_sync.limits import AUDIT_DIFFERENCES_MAX, FRAME_DEPTH_MAX, OWNER_FRAME_ITEMS_MAX
from crdt_sync.protocol.entries import CheckedEntry, Standing
from crdt_sync.protocol.messages import Receipt
from crdt_sync.replica import Holding
from crdt_sync.replica.owner.asking import Owner
from crdt_sync.runtime.audits import Audit, Comparison, Difference, Mended
from crdt_sync.runtime.progress import Progress
from crdt_sync.runtime.through_owner import SYNC, address_of, audit_through, packed, sync_through


@pytest.mark.parametrize(
    "address",
    [
        Address("ws://relay.test"),
        Address("wss://relay.test/crm", "token", Path("/ca.pem"), adopt=True, ping_interval_s=5.5),
        Address("ws://relay.test", transport="http", memory=Path("/store/transport.json")),
        Address("wss://10.0.0.1", "token", direct=True),
    ],
)
def test_the_owner_is_told_all_of_the_address(address: Address) -> None:
    asked: list[tuple[object, ...]] = []

    class Told:
        def ask(self, *said: object) -> object:
            asked.append(said)
            return astuple(Progress(received=3))

    progress = asyncio.run(sync_through(cast(Owner, Told()), address))
    assert progress.received == 3
    ((what, *request),) = asked
    assert what == SYNC
    there = address_of(tuple(request))
    assert there == address
    assert there.memory == address.memory


def test_a_request_of_another_form_is_refused() -> None:
    with pytest.raises(UsageError, match="another form"):
        address_of(("ws://relay.test", "", None, False, False, None))


def difference(number: int) -> Difference:
    record = f"customers/{number}"
    here = CheckedEntry(record, b"a" * 16, b"b" * 16, Standing.AGREES)
    return Difference(record, here, CheckedEntry(record, b"", b"", Standing.ABSENT))


def audit(differences: int, more: int) -> Audit:
    comparison = Comparison(Holding(7, 5, b"o" * 32), Receipt(2, 9, 6, b"t" * 32), False)
    return Audit(comparison, True, tuple(map(difference, range(differences))), ("customers/moving",), more)


def through(found: Mended) -> Mended:
    class Audited:
        def ask(self, *said: object) -> object:
            raw = strict_cbor.dumps(packed(found))
            return strict_cbor.loads(raw, items_max=OWNER_FRAME_ITEMS_MAX, depth_max=FRAME_DEPTH_MAX)

    return asyncio.run(audit_through(cast(Owner, Audited()), Address("ws://relay.test"), "audit"))


def test_an_audit_comes_back_as_the_owner_found_it() -> None:
    found = Mended(audit(3, 4), audit(0, 0))
    assert through(found) == found


def test_what_does_not_fit_into_an_answer_is_counted() -> None:
    whole = audit(AUDIT_DIFFERENCES_MAX, 4)
    found = through(Mended(whole, whole)).before
    assert len(found.differences) + found.more == AUDIT_DIFFERENCES_MAX + 4
    assert found.differences == whole.differences[: len(found.differences)]


@pytest.mark.parametrize("answer", [None, (), ((), ()), (((1, 2, b""), (), True, True, (("x",),), (), 0),) * 2])
def test_an_answer_of_another_version_is_refused(answer: object) -> None:
    class Other:
        def ask(self, *said: object) -> object:
            return answer

    with pytest.raises(OwnerGone, match="another answer"):
        asyncio.run(audit_through(cast(Owner, Other()), Address("ws://relay.test"), "audit"))
