"""Memory goes back to the system where there is some to be given back, and only then."""

import ctypes
import subprocess
import sys
from types import SimpleNamespace

import pytest

from crdt_sync.runtime import heap as module
from crdt_sync.runtime.heap import Heap

MIB = 1 << 20


class System:
    """A C library and a kernel that tell what they are told to."""

    def __init__(self, heap: Heap, *, telling: bool = True) -> None:
        self.free = self.has = self.used = 0
        self.now = 0.0
        heap._clock = lambda: self.now
        self.trims = 0
        heap._figures = lambda: SimpleNamespace(free=self.free, used=self.used, hblkhd=MIB)
        heap._trim = self._trim
        heap._pages = SimpleNamespace(bytes=lambda: self.has if telling else None)  # type: ignore[assignment]
        self.returned = 0

    def _trim(self, _pad: int) -> None:
        self.trims += 1
        self.has -= self.returned


def after_a_burst() -> tuple[Heap, System]:
    """Of 100 MiB 40 were free; none of that could be given back."""
    heap = Heap()
    system = System(heap)
    system.has, system.free = 100 * MIB, 40 * MIB
    heap.give_back()
    return heap, system


def test_what_a_burst_left_is_given_back_once():
    heap = Heap()
    system = System(heap)
    system.has, system.free, system.returned = 100 * MIB, 40 * MIB, 30 * MIB
    heap.give_back()
    assert heap.in_use() == 1 * MIB
    assert system.has == 70 * MIB
    for _ in range(10):  # the rest of it is between blocks that are used: it counts as free for ever
        heap.give_back()
    assert system.trims == 1


def test_after_the_next_burst_that_is_given_back_too():
    heap, system = after_a_burst()
    system.has += 7 * MIB
    heap.give_back()
    assert system.trims == 1
    system.has += 2 * MIB
    heap.give_back()
    assert system.trims == 2


def test_a_burst_counts_from_the_least_since():
    heap, system = after_a_burst()
    system.has = 60 * MIB
    heap.give_back()
    system.has = 70 * MIB
    heap.give_back()
    assert system.trims == 2


def test_what_was_used_by_then_is_given_back_a_little_later():
    heap = Heap()
    system = System(heap)
    system.has, system.free, system.used = 100 * MIB, 10 * MIB, 80 * MIB
    heap.give_back()
    system.free, system.used = 50 * MIB, 40 * MIB
    heap.give_back()
    assert system.trims == 1
    for system.now in (10.0, 20.0, 30.0):
        heap.give_back()
        assert system.trims == 2


def test_nothing_is_given_back_where_little_is_free():
    heap = Heap()
    system = System(heap)
    system.has, system.free = 100 * MIB, 7 * MIB
    heap.give_back()
    assert system.trims == 0


def test_where_the_kernel_does_not_tell_what_is_free_decides():
    heap = Heap()
    system = System(heap, telling=False)
    system.free = 40 * MIB
    heap.give_back()
    heap.give_back()
    assert system.trims == 2


def test_the_system_tells_of_what_was_taken():
    before = module._Pages().bytes()
    if before is None:
        pytest.skip("the kernel does not tell")
    taken = ctypes.create_string_buffer(b"x" * (32 * MIB))
    after = module._Pages().bytes()
    assert after is not None
    assert after > before + 16 * MIB
    del taken


_ONE_HEAP = """
from crdt_sync.runtime.heap import Heap
heap = Heap()
heap.be_one()
former = bytearray(8 << 20)
del former  # by itself, the library would have blocks of this size in the heap from now on
before = heap._figures().hblkhd
block = bytearray(1 << 20)
print(heap._figures().hblkhd - before)
"""


@pytest.mark.skipif(Heap()._figures is None, reason="nothing is known of the heap here")
def test_a_large_block_is_asked_of_the_system_by_itself_whatever_was_freed():
    ran = subprocess.run((sys.executable, "-c", _ONE_HEAP), stdout=subprocess.PIPE, text=True, check=True)
    assert int(ran.stdout) >= MIB
