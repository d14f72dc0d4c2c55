"""What devices that were shut out had not sent: kept for an operator to look at, and in no log before one applies it.

It lies with the registry among the settings of the relay's store, in the same file, encrypted where that is: of each
device a row that it has handed in, which stays, so that it does so once; and one for each update, until it is applied
or dropped. One device hands in at a time; one that comes again before all has come begins anew. What is kept is bounded
by `HANDED_IN_DEVICES_MAX`.
"""

from collections.abc import Awaitable, Callable, Collection, Sequence
from dataclasses import astuple, dataclass
from typing import NamedTuple

from crdt_relay.registry import PREFIX, SettingsStore
from crdt_sync.errors import StoreCorrupt
from crdt_sync.limits import HANDED_IN_DEVICES_MAX
from crdt_sync.protocol.entries import PushEntry
from crdt_sync.storage.values import Batch
from crdt_sync.strict_cbor import dumps, loads

_DEVICES = PREFIX + "handed_in/"  # then the device, in hexadecimal
_UPDATES = PREFIX + "unsent/"  # then the device, and the number of the update in six digits
_DIGITS = 6


@dataclass(frozen=True, slots=True)
class HandedIn:
    """That a device has handed in: its user by then, when (µs since 1970), and how many updates and bytes that were."""

    device: bytes
    user: str
    at: int
    updates: int
    size: int


class Waiting(NamedTuple):
    """One update that waits: its number, its record, and its bytes."""

    number: int
    record: str
    update: bytes


@dataclass(eq=False, slots=True)
class Turn:
    """One attempt of a device. `give_up` ends it while updates come; None where nothing can."""

    device: bytes
    give_up: Callable[[], None] | None = None


class Review:
    """See the module. `commit` makes a batch durable; threads may not call."""

    def __init__(self, store: SettingsStore, commit: Callable[[Batch], Awaitable[object]]) -> None:
        self._store = store
        self.commit = commit
        self._turn: Turn | None = None  # of the device that hands in now

    @property
    def taking(self) -> bool:
        """Whether a device hands in now."""
        return self._turn is not None

    def may_begin(self, device: bytes) -> bool:
        """Whether nobody hands in now, or this device itself does, on a connection that it may have lost."""
        return self._turn is None or (self._turn.device == device and self._turn.give_up is not None)

    def begin(self, device: bytes) -> Turn:
        """It is the turn of this device, which `may_begin`; `end` is due. What it began before is given up."""
        assert self.may_begin(device), "one after the other"
        if self._turn is not None and self._turn.give_up is not None:
            self._turn.give_up()
        self._turn = Turn(device)
        return self._turn

    def settle(self, turn: Turn) -> bool:
        """All has come: nothing ends this attempt any more. False where it was given up."""
        turn.give_up = None
        return self._turn is turn

    def end(self, turn: Turn) -> None:
        """It is over."""
        if self._turn is turn:
            self._turn = None

    async def keep(self, handed: HandedIn, entries: Sequence[PushEntry]) -> None:
        """Keep what a device hands in; it is durable then. Raises `StoreError`."""
        rows: dict[str, bytes | None] = {_DEVICES + handed.device.hex(): dumps(astuple(handed)[1:])}
        for number, entry in enumerate(entries, 1):
            rows[_key(handed.device, number)] = dumps((entry.record, entry.update))
        await self.commit(Batch(meta=rows))

    async def forget(self, device: bytes, numbers: Collection[int]) -> None:
        """Keep these no longer. Raises `StoreError`."""
        if numbers:
            await self.commit(Batch(meta={_key(device, number): None for number in numbers}))

    def of(self, device: bytes) -> HandedIn | None:
        """What this device has handed in. Raises `StoreError`."""
        raw = self._store.meta(_DEVICES + device.hex())
        return None if raw is None else _handed(device, raw)

    def all(self) -> list[HandedIn]:
        """What waits, by the device that handed it in, the oldest first. Raises `StoreError`."""
        found = {key.removeprefix(_UPDATES).partition("/")[0] for key in self._store.meta_keys(_UPDATES)}
        handed = [self.of(bytes.fromhex(device)) or HandedIn(bytes.fromhex(device), "", 0, 0, 0) for device in found]
        return sorted(handed, key=lambda each: (each.at, each.device))

    @property
    def full(self) -> bool:
        """Whether so much waits that no other device may hand in. Raises `StoreError`."""
        return len(self.all()) >= HANDED_IN_DEVICES_MAX

    def waiting(self, device: bytes) -> list[Waiting]:
        """What of a device waits. Raises `StoreError`."""
        found = []
        for key in self._store.meta_keys(f"{_UPDATES}{device.hex()}/"):
            raw = self._store.meta(key)
            if raw is None:
                continue  # it was decided on a moment ago
            match _read(key, raw):
                case (str(record), bytes(update)):
                    found.append(Waiting(int(key.rpartition("/")[2]), record, update))
                case _:
                    raise _unknown(key)
        return found


def _key(device: bytes, number: int) -> str:
    return f"{_UPDATES}{device.hex()}/{number:0{_DIGITS}}"


def _handed(device: bytes, raw: bytes) -> HandedIn:
    match _read(_DEVICES, raw):
        case (str(user), int(at), int(updates), int(size)):
            return HandedIn(device, user, at, updates, size)
    raise _unknown(_DEVICES + device.hex())


def _read(key: str, raw: bytes) -> object:
    try:
        return loads(raw, items_max=8, depth_max=1)
    except ValueError:
        raise _unknown(key) from None


def _unknown(key: str) -> StoreCorrupt:
    return StoreCorrupt(f"what is kept for review in {key} cannot be read")
