"""How a device seals a bundle: to whom, with which key, and which records go in."""

import secrets
from dataclasses import dataclass

from crdt_sync.errors import IdentityRefused, UsageError
from crdt_sync.exchange.bundle.envelope import sealed_to
from crdt_sync.exchange.bundle.header import ID_BYTES, Header
from crdt_sync.exchange.bundle.inside import Said
from crdt_sync.exchange.bundle.protection import KEY_BYTES, Key
from crdt_sync.exchange.bundle.recipients import Allowed, Recipients, recipients
from crdt_sync.exchange.bundle.writer import Seal
from crdt_sync.identity.refusals import NEXT_STEPS, Reason
from crdt_sync.identity.statements import Versions
from crdt_sync.membership.member import Membership
from crdt_sync.replica import Replica


@dataclass(frozen=True, slots=True)
class Sealing:
    """One bundle that is sealed. Make it with `begin`."""

    member: Membership
    recipients: Recipients
    key: Key
    _raw: bytes
    _allowed: Allowed

    @classmethod
    def begin(cls, replica: Replica, member: Membership, to: str) -> "Sealing":
        """Raises `UsageError`, `BundleNotWritten`, `BundleForbidden`, and `IdentityRefused` where this device is out,
        or its token is over, so that nobody would take its bundle.
        """
        in_force, claims = replica.context.in_force(), member.claims()
        if in_force is None or claims is None:
            raise UsageError("nothing is known here yet of who may hold what", "Sync first: crdt-sync sync")
        member.check_out()
        try:
            claims.check_times(replica.clock.now())
        except IdentityRefused as over:
            hint = NEXT_STEPS[Reason(over.reason)]
            raise IdentityRefused(over.reason, f"{over.message}: nobody would take its bundle", hint) from None
        found = recipients(member, in_force, to)
        raw = secrets.token_bytes(KEY_BYTES)
        return cls(member, found, Key(raw), raw, Allowed(in_force, claims.user, found))

    def allows(self, replica: Replica, record: str) -> bool:
        """Whether a record goes in; one that cannot be read does not."""
        forms = replica.context.forms_of(record)
        return forms is not None and self._allowed(record, forms)

    def header(self, replica: Replica, head: int) -> Header:
        """It tells nothing of what was read of others, and begins no life of the store: what is sealed is whole."""
        return Header(
            bundle=secrets.token_bytes(ID_BYTES),
            source=replica.id,
            name=replica.name,
            epoch=replica.store.epoch,
            lives=(),
            created=replica.clock.now(),
            base=0,
            head=head,
            partner=None,
            known=(),
            protection=None,
            space=self.member.space,
        )

    def seal(self, header: Header) -> Seal:
        """What makes a bundle with this header a sealed one."""
        whom, member = self.recipients, self.member
        envelope = sealed_to(whom.devices, self._raw, header.bundle, member.space, whom.to)
        said = Said(member.facts.token, tuple(member.statements.lacking(Versions())))
        return Seal(envelope, said, member.pair)
