"""What the loaded records of a worker take of memory is bounded, whatever that is for their bytes."""

import pytest

from crdt_sync.limits import MIB
from crdt_sync.records import Integrator
from crdt_sync.runtime.heap import Heap
from crdt_sync.runtime.worker import pipe
from crdt_sync.runtime.worker.service import _MEASURE_EVERY_BYTES, Service
from crdt_sync.runtime.worker.values import ACCEPTED_NEW
from tests.records.gate.test_walks import crowded
from tests.records.raw_updates import text, update
from tests.runtime.worker.test_turns import Unmarked

_KEPT = 3


def asked(service: Service, record: str, content: bytes) -> list[str]:
    """Integrate one update into a new record; returns which records left the worker."""
    request = pipe.encode_request(pipe.INTEGRATE, 1, None, [(record, (), (content,), False)])
    results, evicted, *_ = pipe.decode_results(service.answer(request[pipe.LENGTH.size :])[pipe.LENGTH.size :], 1, [1])
    assert results[0] is not None
    assert results[0].verdicts == (ACCEPTED_NEW,)
    return evicted


def test_the_oldest_leave_when_records_take_too_much_memory() -> None:
    integrator = Integrator(100)
    service = Service(
        integrator, Unmarked(), allocated=lambda: len(integrator.known) * MIB, memory_bytes_max=_KEPT * MIB
    )
    large = update([text("t.a", "x" * _MEASURE_EVERY_BYTES)], writer=9000)
    left = [asked(service, f"customers/{number}", large) for number in range(6)]
    assert left == [[], [], [], ["customers/0"], ["customers/1"], ["customers/2"]]
    assert integrator.known == {"customers/3", "customers/4", "customers/5"}


def test_one_record_stays_however_much_it_takes() -> None:
    integrator = Integrator(100)
    service = Service(integrator, Unmarked(), allocated=lambda: len(integrator.known) * MIB, memory_bytes_max=0)
    large = update([text("t.a", "x" * _MEASURE_EVERY_BYTES)], writer=9000)
    assert asked(service, "customers/a", large) == []
    assert asked(service, "customers/b", large) == ["customers/a"]


def test_many_small_items_are_measured_as_what_they_take() -> None:
    heap = Heap()
    before = heap.in_use()
    if before is None:
        pytest.skip("the allocator does not tell")
    service = Service(Integrator(1000), Unmarked(), allocated=heap.in_use, memory_bytes_max=4 * MIB)
    dear = crowded(600, 600)
    left = [asked(service, f"customers/{number}", dear) for number in range(60)]  # 0.3 MiB each
    assert any(left)
    assert (heap.in_use() or 0) - before < 8 * MIB
