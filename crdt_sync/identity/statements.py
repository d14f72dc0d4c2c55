"""All that a space said, as far as it is known here. Takes statements from anybody, since the space signed them.

Rules:

1. Of each kind the highest version counts. A lower one is passed over; another one of the same version is refused, and
   kept as evidence.
2. A `keys` statement counts if the newest key of the one before signed it. The first one is signed by the *anchor*, the
   key that an invite named. Other statements count if any key signed them that holds.
3. A key that the newest `keys` leaves out is retired: nothing new that it signed is taken. What it had signed stays in
   force, so that nobody is let in because a list of revocations is gone; but any statement of a key that holds takes
   its place, whatever its version. So what a stolen key has signed goes as soon as the space says anew what holds, as
   it does with each retirement.
4. `keys` statements are kept, so that whoever knows an older key can be led to the newest.
"""

from collections.abc import Iterable
from typing import NamedTuple

from crdt_sync.errors import IdentityRefused
from crdt_sync.identity.devices import Devices
from crdt_sync.identity.keys import PublicKey
from crdt_sync.identity.policy_text import PolicyText
from crdt_sync.identity.refusals import Reason, refused
from crdt_sync.identity.revocations import Revocations
from crdt_sync.identity.space_keys import SpaceKeys
from crdt_sync.identity.statement import Sealed, Statement, sealed
from crdt_sync.limits import CONTRADICTIONS_KEPT_MAX, KEYS_EVER_MAX, KEYS_STATEMENTS_MAX
from crdt_sync.principal import Issuer

_HOSTILE = frozenset({Reason.STATEMENT_MALFORMED, Reason.STATEMENT_FORGED, Reason.STATEMENT_FOREIGN_SPACE})


class Versions(NamedTuple):
    """How far somebody knows what a space said; 0 is nothing."""

    keys: int = 0
    policy: int = 0
    revocations: int = 0
    devices: int = 0


class _Held(NamedTuple):
    sealed: Sealed
    statement: Statement
    key: PublicKey


class Statements:
    """What one space said. `anchor` is the key from which the others follow; `kept` is what `kept()` returned once."""

    def __init__(self, space: bytes, anchor: PublicKey, kept: Iterable[bytes] = ()) -> None:
        """Raises `IdentityRefused` where `kept` does not hold, as after damage."""
        self.space = space
        self.anchor = anchor
        self.keys = SpaceKeys((anchor,))
        self.revocations = Revocations()
        self.devices = Devices()
        self.contradictions: list[tuple[bytes, bytes]] = []
        self.confirmed = 0
        self._kept: list[_Held] = []  # in the order in which they were taken, so that they are taken again
        self._newest: dict[str, _Held] = {}
        self._ever = {anchor.kid: anchor}
        for raw in kept:
            self.take(raw)

    @property
    def policy(self) -> str | None:
        """The text of the policy in force; None where none was heard of."""
        held = self._newest.get(PolicyText.kind)
        return held.statement.body.text if held is not None and isinstance(held.statement.body, PolicyText) else None

    @property
    def issuer(self) -> Issuer:
        """The space, with its keys that hold and the devices that are out."""
        return Issuer(self.space, tuple([key.raw for key in self.keys.keys]), frozenset(self.revocations.devices))

    @property
    def versions(self) -> Versions:
        """How far this is."""
        return Versions(**{kind: held.sealed.version for kind, held in self._newest.items()})

    def knew(self, kid: bytes) -> bool:
        """Whether a key of that name is one of the space's, or was."""
        return kid in self._ever

    def take(self, raw: bytes) -> bool:
        """Take one statement; whether it is news, to be stored and passed on. Raises `IdentityRefused`."""
        came = sealed(raw, self.space)
        held = self._newest.get(came.kind)
        if held is not None and not self._gives_way(held, came):
            if came.version == held.sealed.version and came.payload != held.sealed.payload:
                self._contradict(held, came)
            return False
        key = self._key_for(came)
        self._keep(_Held(came, came.opened(key), key))
        return True

    def take_all(self, raws: Iterable[bytes]) -> tuple[bool, IdentityRefused | None]:
        """Take what somebody passes on: whether any of it is news, and the first refusal of what nobody of the space
        passes on. What was refused for another reason may have been passed on in good faith.
        """
        news, hostile = False, None
        for raw in raws:
            try:
                news |= self.take(raw)
            except IdentityRefused as error:
                hostile = hostile or (error if error.reason in _HOSTILE else None)
        return news, hostile

    def lacking(self, known: Versions) -> list[bytes]:
        """What somebody who knows so far lacks, in the order in which it can be taken."""
        return [
            held.sealed.raw
            for held in sorted(self._kept, key=lambda held: held.sealed.kind != SpaceKeys.kind)
            if held.sealed.version > getattr(known, held.sealed.kind) and not self._is_retired(held)
        ]

    def leading(self, version: int, kid: bytes, most: int) -> list[bytes]:
        """The `keys` statements, `most` at most, that lead somebody on who knows them up to `version`, the newest key
        of whom is `kid`: the first of them is signed by it. Nothing where none is.
        """
        chain = [held.sealed for held in self._kept if held.sealed.kind == SpaceKeys.kind]
        later = [each for each in chain if each.version > version]
        while later and later[0].kid != kid:
            later.pop(0)
        return [each.raw for each in later[:most]]

    def kept(self) -> list[bytes]:
        """All of it, for a store."""
        return [held.sealed.raw for held in self._kept]

    def confirm(self, now: int) -> None:
        """Whoever speaks for the space, proved by its key, said just now that there is nothing newer."""
        self.confirmed = max(self.confirmed, now)

    def age(self, now: int) -> int | None:
        """For how long nothing is known of revocations, in microseconds; None where nothing ever was."""
        held = self._newest.get(Revocations.kind)
        heard = max(self.confirmed, held.statement.issued if held is not None else 0)
        return max(0, now - heard) if heard else None

    def _gives_way(self, held: _Held, came: Sealed) -> bool:
        if came.version > held.sealed.version:
            return True
        return came.kind != SpaceKeys.kind and self._is_retired(held) and self.keys.find(came.kid) is not None

    def _is_retired(self, held: _Held) -> bool:
        """Whether the key of what is in force holds no more; `keys` statements are the chain that says so."""
        return held.sealed.kind != SpaceKeys.kind and self.keys.find(held.sealed.kid) is None

    def _key_for(self, came: Sealed) -> PublicKey:
        if came.kind == SpaceKeys.kind:
            key = self.keys.newest if came.kid == self.keys.newest.kid else None
        else:
            key = self.keys.find(came.kid)
        if key is None:
            known = came.kid in self._ever
            raise refused(
                Reason.STATEMENT_UNKNOWN_KEY,
                f"a statement of {came.kind} is signed by {came.kid.hex()}, "
                + ("which may not sign it, or no more" if known else "which is no key of the space as far as is known"),
            )
        return key

    def _contradict(self, held: _Held, came: Sealed) -> None:
        """Refuse another one of the same version; evidence is kept only of what a key of the space did sign."""
        key = self._ever.get(came.kid)
        if key is None:
            self._key_for(came)  # which refuses it
        else:
            came.opened(key)
            pair = held.sealed.raw, came.raw
            if len(self.contradictions) < CONTRADICTIONS_KEPT_MAX and pair not in self.contradictions:
                self.contradictions.append(pair)
        raise refused(
            Reason.STATEMENT_CONTRADICTED, f"there are two statements of {came.kind} with the version {came.version}"
        )

    def _keep(self, held: _Held) -> None:
        body, former = held.statement.body, self._newest.get(held.sealed.kind)
        self._newest[held.sealed.kind] = held
        if isinstance(body, SpaceKeys):
            self.keys = body
            holding = {key.kid: key for key in body.keys}
            self._ever = {kid: key for kid, key in self._ever.items() if kid not in holding} | holding
            for forgotten in list(self._ever)[:-KEYS_EVER_MAX]:
                del self._ever[forgotten]
        elif former is not None:
            self._kept.remove(former)
        if isinstance(body, Revocations):
            self.revocations = body
        if isinstance(body, Devices):
            self.devices = body
        self._kept.append(held)
        chain = [each for each in self._kept if each.sealed.kind == SpaceKeys.kind]
        if len(chain) > KEYS_STATEMENTS_MAX:  # who knows no key but those of then has to join again
            self._kept.remove(chain[0])
            self.anchor = chain[1].key
