"""Bundles for programs: files that carry records from one device to another.

create_bundle(replica, "monday.bundle", token=token)
apply_bundle(other, "monday.bundle", token=token)
print(inspect_bundle("monday.bundle").header.name)
"""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from crdt_sync.exchange import bundle
from crdt_sync.exchange.bundle import Applied, Created, Inspection
from crdt_sync.replica import Replica
from crdt_sync.runtime.vetting import Vetting, vetting
from crdt_sync.runtime.worker.values import Item
from crdt_sync.verdicts import Verdict

if TYPE_CHECKING:
    from crdt_sync.membership.member import Membership


def create_bundle(
    replica: Replica,
    path: Path | str,
    *,
    partner: str | None = None,
    to: str | None = None,
    token: str | None = None,
    force: bool = False,
    progress: Callable[[int, int], object] | None = None,
) -> Created:
    """Write what `partner` (a name, a URL, the beginning of a replica id) is not known to have; None: everything.

    With the space's `token` only its holders can read the bundle, or make one like it. In a space with people it is
    sealed `to` "user:NAME", "role:NAME" or "device:ID": only their devices can read it, and it holds all that they and
    the user of this device may hold. A file that is there already is replaced only with `force`. `progress` hears how
    many records were written, of at most how many.

    Raises `BundleNotWritten`, `BundleForbidden`, `UsageError` for somebody who is not known, `StoreError`, and
    `IdentityRefused` where this device is out.
    """
    return bundle.create(replica, Path(path), partner=partner, to=to, token=token, force=force, progress=progress)


def apply_bundle(
    replica: Replica,
    path: Path | str,
    *,
    token: str | None = None,
    plain: bool = False,
    other_space: bool = False,
    progress: Callable[[str, int, int], object] | None = None,
) -> Applied:
    """Verify a bundle, then take up what it holds; twice, or out of order, does no harm.

    Whoever has a `token` takes bundles without protection only if `plain` says so, and whoever has joined a space takes
    those of another only if `other_space` says so. Updates are examined in a worker
    process first. `progress` hears of a step, `verifying` (bytes) or `applying` (updates), what of it is done, and all
    there is. One that was interrupted is resumed by calling this again.

    In a space with people it takes what is sealed to this device by one that is not out.

    Raises `InvalidBundle` before anything is stored, `IdentityRefused`, `StoreError`, `WorkerUnavailable`.
    """
    with vetting(replica) as vetted:
        return bundle.apply(
            replica, Path(path), _Examiner(vetted), token=token, plain=plain, other_space=other_space, progress=progress
        )


def inspect_bundle(
    path: Path | str,
    *,
    token: str | None = None,
    member: "Membership | None" = None,
    progress: Callable[[str, int, int], object] | None = None,
) -> Inspection:
    """Verify a bundle as far as the `token`, or the key of a `member`, allows, and tell what it says of itself.

    Raises `InvalidBundle`.
    """
    return bundle.inspect(Path(path), token=token, member=member, progress=progress)


class _Examiner:
    """The worker as a bundle sees it. All updates of a call have one sender."""

    def __init__(self, vetted: Vetting) -> None:
        self._vetted = vetted

    def judge(
        self, updates: Sequence[tuple[str, Sequence[bytes]]], stamp_max: int | None, user: str | None = None
    ) -> Sequence[Sequence[Verdict]]:
        items = [Item(record, tuple(group)) for record, group in updates]
        return [result.verdicts for result in self._vetted.vet(items, stamp_max, user)]

    def trim(self, updates: Sequence[tuple[str, bytes, bytes]]) -> Sequence[bytes | None]:
        return self._vetted.trim(updates)
