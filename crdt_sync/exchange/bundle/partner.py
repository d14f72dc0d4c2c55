"""Whom a bundle is for: a partner as people name it, and what is known of it.

It is whoever `status` and `peers` list: met by bundle, by session, as a caller of this device, or through others.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from crdt_sync.errors import UsageError
from crdt_sync.replica import Carried
from crdt_sync.replica.callers import Caller, callers
from crdt_sync.replica.carried import carried
from crdt_sync.replica.heard import Heard, heard
from crdt_sync.replica.names import names
from crdt_sync.storage.port import Partners
from crdt_sync.storage.values import Peer

_PREFIX_LENGTH_MIN = 4  # characters of a replica id: 16 bits, enough to tell a handful of partners apart
_ID_SHOWN = 12


@dataclass(frozen=True, slots=True)
class Partner:
    """A replica that was met, by bundle (`carried`), by our session (`peer`), or its own (`caller`); else one that
    another told of.

    `told` is what was heard of it last and `through` who said so, by name; both only where it was never met.
    """

    replica: bytes
    carried: Carried | None
    peer: Peer | None
    told: Heard | None = None
    through: str = ""
    name: str = ""
    caller: Caller | None = None

    @property
    def names(self) -> tuple[str, ...]:
        """What it can be called by, besides its replica id."""
        return tuple(name for name in (self.name, self.peer.url if self.peer else "") if name)


def known_partners(store: Partners) -> Iterator[Partner]:
    """Every partner that a bundle can be made for."""
    by_bundle = carried(store)
    by_session = {peer.replica: peer for peer in store.peers() if peer.url}
    calling = callers(store)
    through_others = {row.replica: row for row in heard(store)}  # the last of each
    called = names(store)
    for replica in sorted(by_bundle.keys() | by_session.keys() | calling.keys() | through_others.keys()):
        met = by_bundle.get(replica), by_session.get(replica)
        told = None if any(met) or replica in calling else through_others[replica]
        through = called.get(told.via, told.via.hex()[:_ID_SHOWN]) if told is not None else ""
        yield Partner(replica, *met, told, through, called.get(replica, ""), calling.get(replica))


def find_partner(store: Partners, wanted: str) -> Partner:
    """The partner of that name, URL, or beginning of its replica id. Raises `UsageError`."""
    known = list(known_partners(store))
    found = [partner for partner in known if wanted in partner.names] or [
        partner
        for partner in known
        if len(wanted) >= _PREFIX_LENGTH_MIN and partner.replica.hex().startswith(wanted.lower())
    ]
    if len(found) == 1:
        return found[0]
    told = "; ".join(map(_described, found or known))
    if found:
        raise UsageError(f"several partners are called {wanted[:80]!r}", f"Name one by its replica id: {told}.")
    raise UsageError(
        f"no partner {wanted[:80]!r} is known here",
        f"Known: {told or 'none'}. A partner becomes known by a bundle of its own, by syncing, or by a bundle of "
        "somebody who knows it; without --for, a bundle holds everything and suits anybody.",
    )


def _described(partner: Partner) -> str:
    through = (f"(through {partner.through})",) if partner.through else ()
    return " ".join((partner.replica.hex()[:_ID_SHOWN], *partner.names, *through))
