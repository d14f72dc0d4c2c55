"""Whom a bundle is for: a partner as people name it, and what is known of it by bundle and by session."""

from collections.abc import Iterator
from dataclasses import dataclass

from crdt_sync.errors import UsageError
from crdt_sync.replica import Carried
from crdt_sync.replica.carried import carried
from crdt_sync.storage.port import Peer, Store

_PREFIX_LENGTH_MIN = 4  # characters of a replica id: 16 bits, enough to tell a handful of partners apart


@dataclass(frozen=True, slots=True)
class Partner:
    """A replica that was met: by bundle (`carried`), by session (`peer`), or both."""

    replica: bytes
    carried: Carried | None
    peer: Peer | None

    @property
    def names(self) -> tuple[str, ...]:
        """What it can be called by, besides its replica id."""
        by_bundle = (self.carried.name,) if self.carried else ()
        return (*by_bundle, self.peer.url) if self.peer else by_bundle


def known_partners(store: Store) -> Iterator[Partner]:
    """Every partner that a bundle can be made for."""
    by_bundle = carried(store)
    by_session = {peer.replica: peer for peer in store.peers() if peer.url}
    for replica in sorted(by_bundle.keys() | by_session.keys()):
        yield Partner(replica, by_bundle.get(replica), by_session.get(replica))


def find_partner(store: Store, wanted: str) -> Partner:
    """The partner of that name, URL, or beginning of its replica id. Raises `UsageError`."""
    known = list(known_partners(store))
    found = [partner for partner in known if wanted in partner.names] or [
        partner
        for partner in known
        if len(wanted) >= _PREFIX_LENGTH_MIN and partner.replica.hex().startswith(wanted.lower())
    ]
    if len(found) == 1:
        return found[0]
    told = "; ".join(" ".join((partner.replica.hex()[:12], *partner.names)) for partner in found or known)
    if found:
        raise UsageError(f"several partners are called {wanted[:80]!r}", f"Name one by its replica id: {told}.")
    raise UsageError(
        f"no partner {wanted[:80]!r} is known here",
        f"Known: {told or 'none'}. A partner becomes known by a bundle of its own or by syncing; "
        "without --for, a bundle holds everything and suits anybody.",
    )
