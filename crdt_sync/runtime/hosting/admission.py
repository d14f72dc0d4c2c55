"""Who is not let in for a while: replicas that were sent away, and addresses from which tokens are guessed.

Nothing proves a replica id, and several devices may share an address, so neither alone decides:

1. Whose updates kill workers, in one session or in several, is sent away: its id at its address, for a minute, and for
   twice as long each time again. For a minute nobody else comes in from that address under an id that was not let in
   there before, as ids are free; who was, notices nothing.
2. Each wrong token counts against its address. Where they are used up, the token of a stranger is not looked at before
   others are free; who was let in from there before is always heard. A proof of a key cannot be guessed, and no id says
   whose it is: it is looked at all the same, and lets in whom it lets in.
3. Newcomers from this machine are neither shut out nor counted: a proxy has one address for everybody.
4. Who proved the key of a device is known by it, wherever it comes from: what it is sent away for it is sent away for
   everywhere, and no other device there pays for it.
5. Every table is bounded; the oldest entries are forgotten first.

Whoever is refused is told when to come back, and costs no more than a hello. Times are microseconds of a steady clock.
"""

from collections.abc import Callable, Mapping
from typing import Generic, TypeVar

from crdt_sync import limits
from crdt_sync.identity.presented import proves_key
from crdt_sync.protocol.acceptor import Authorise, Refusal
from crdt_sync.protocol.messages import Hello
from crdt_sync.protocol.principal import Principal
from crdt_sync.runtime.network import is_loopback, network_of
from crdt_sync.verdicts import VerdictCode

POISONED = "poisoned"  # the code of a session that is ended for what it cost others
_GUESSES = frozenset(
    {"unauthorized", "proof_malformed", "proof_invalid", "token_malformed", "token_forged", "invite_unknown"}
)
_GUESSED = "unavailable"  # the code for those who come while guesses are used up
_NOWHERE = ""  # the address of who has none

K = TypeVar("K")
V = TypeVar("V")


class Admission:
    """See the module. Make a `Visitor` for each that connects."""

    def __init__(self, now: Callable[[], int]) -> None:
        self._now = now
        self._known: _Table[tuple[str, bytes], bool] = _Table()  # who was let in there
        self._strikes: _Table[tuple[str, bytes], int] = _Table()
        self._away: _Table[tuple[str, bytes], tuple[int, int]] = _Table()  # until when, and how long that was
        self._shut: _Table[str, int] = _Table()  # to newcomers: until when
        self._guesses: _Table[str, int] = _Table()  # when all of them are free again

    def visitor(self, address: str | None) -> "Visitor":
        """Somebody has connected from that address."""
        return Visitor(self, address or _NOWHERE)

    def refusal(self, address: str, replica: bytes) -> Refusal | None:
        """Why nobody is let in under that id from that address now, whatever the token."""
        now, key = self._now(), (address, replica)
        known = self._known.get(key) is not None
        until, _ = self._away.get(key) or (0, 0)
        if not known:
            until = max(until, self._shut.get(address) or 0)
        if until > now:
            return Refusal(POISONED, "updates of this device could not be integrated; it is to wait", until - now)
        wait = self._guesses_free_at(address) - (limits.TOKEN_GUESSES_MAX - 1) * limits.TOKEN_GUESS_US - now
        if not known and wait > 0:
            return Refusal(_GUESSED, "too many wrong tokens came from this address", wait)
        return None

    def let_in(self, address: str, replica: bytes) -> None:
        """It has the token."""
        self._known.put((address, replica), True)

    def guessed(self, address: str, replica: bytes) -> None:
        """Its token was wrong."""
        self._known.drop((address, replica))
        if not is_loopback(address or "localhost"):
            self._guesses.put(address, self._guesses_free_at(address) + limits.TOKEN_GUESS_US)

    def cost(self, address: str, replica: bytes, poisons: int) -> None:
        """In one session, so many of its updates killed workers: with `POISON_STRIKES_MAX` it is sent away."""
        now, key = self._now(), (address, replica)
        strikes = (self._strikes.get(key) or 0) + poisons
        self._strikes.put(key, strikes)
        if strikes < limits.POISON_STRIKES_MAX:
            return
        self._strikes.drop(key)
        until, before = self._away.get(key) or (0, 0)
        repeated = now < until + limits.BAN_REMEMBERED_US and before > 0
        for_us = min(2 * before, limits.BAN_US_MAX) if repeated else limits.BAN_US_FIRST
        self._away.put(key, (now + for_us, for_us))
        if not is_loopback(address or "localhost"):
            self._shut.put(address, now + limits.BAN_US_FIRST)

    def _guesses_free_at(self, address: str) -> int:
        return max(self._guesses.get(address) or 0, self._now())


class Visitor:
    """One connection, from its address to its end."""

    def __init__(self, admission: Admission, address: str) -> None:
        self._admission = admission
        self.address = address
        self.place = network_of(address)
        self.replica = b""
        self._counted = self.place, b""  # as whom what it costs is counted
        self.user = ""
        self.device = b""  # whose key was proved
        self.is_in = False
        self._expelled = False

    def guarded(self, authorise: Authorise) -> Authorise:
        """`authorise`, for those who need not wait."""

        def guard(hello: Hello) -> Principal | Refusal:
            self.replica = hello.replica
            self._counted = self.place, hello.replica
            refusal = self._admission.refusal(*self._counted)
            if refusal is not None and not (refusal.code == _GUESSED and proves_key(hello.token)):
                return refusal
            found = authorise(hello)
            if isinstance(found, Principal):
                if found.user and (away := self._proved(found)) is not None:
                    return away
                self.user = found.user
                self.device = found.device if found.user else b""
                self.is_in = True
                self._admission.let_in(self.place, hello.replica)
            elif refusal is not None:
                return refusal
            elif found.code in _GUESSES:
                self._admission.guessed(self.place, hello.replica)
            return found

        return guard

    def _proved(self, principal: Principal) -> Refusal | None:
        """It is that device from here on; why it is not let in, if it is not."""
        self._counted = _NOWHERE, principal.device
        return self._admission.refusal(*self._counted)

    def expelled(self) -> None:
        """Its session is ended because its updates have killed workers."""
        self._expelled = True
        self._admission.cost(*self._counted, limits.POISON_STRIKES_MAX)

    def pushed(self, verdicts: Mapping[VerdictCode, int]) -> None:
        """Its session is over, and that is what became of its updates."""
        poisons = verdicts.get(VerdictCode.POISON, 0)
        if poisons and not self._expelled:
            self._admission.cost(*self._counted, poisons)

    def named(self) -> dict[str, str]:
        """Who it is, for a log line: `replica` is what it calls itself, `device` what it proved, if anything."""
        named = {"replica": self.replica.hex(), "address": self.address, "user": self.user}
        return {**named, "device": self.device.hex()} if self.device else named


class _Table(Generic[K, V]):
    """At most `ADMISSION_ENTRIES_MAX` entries: who comes too many takes the place of the oldest."""

    def __init__(self) -> None:
        self._entries: dict[K, V] = {}

    def __len__(self) -> int:
        return len(self._entries)

    def get(self, key: K) -> V | None:
        return self._entries.get(key)

    def put(self, key: K, value: V) -> None:
        self._entries.pop(key, None)
        self._entries[key] = value
        if len(self._entries) > limits.ADMISSION_ENTRIES_MAX:
            del self._entries[next(iter(self._entries))]

    def drop(self, key: K) -> None:
        self._entries.pop(key, None)
