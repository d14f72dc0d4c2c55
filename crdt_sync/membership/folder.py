"""Where a device keeps its membership: three files beside its store, for its owner alone.

They are no part of the store, so that a device that has destroyed its store can still say who it is, and that it has.
"""

from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from crdt_sync.errors import IdentityRefused, KeyUnusable
from crdt_sync.files import destroy, replaced
from crdt_sync.identity.invites import Link
from crdt_sync.identity.keys import KeyPair
from crdt_sync.key_files import make_key, read_key
from crdt_sync.membership.contact import CONTACT_FILE, ContactFile
from crdt_sync.membership.facts import Facts, read_facts
from crdt_sync.membership.member import Membership

KEY_FILE = "device.key"
MEMBER_FILE = "member"
_FILE_BYTES_MAX = 8 * 1024 * 1024  # twice what a space says at most


def is_member(folder: Path) -> bool:
    """Whether a device whose store is, or was, in `folder` joined a space."""
    return (folder / MEMBER_FILE).exists()


def load(folder: Path) -> Membership | None:
    """The membership that is kept there; None where there is none. Raises `KeyUnusable`."""
    path = folder / MEMBER_FILE
    try:
        with path.open("rb") as file:
            raw = file.read(_FILE_BYTES_MAX)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise KeyUnusable(f"{path} cannot be read: {error.strerror}", "Check who may read it.") from error
    facts = read_facts(raw)
    try:
        return Membership(facts, read_key(folder / KEY_FILE), _keeper(folder), contact=ContactFile(folder))
    except IdentityRefused as error:
        raise KeyUnusable(f"{path}: {error.message}", "Restore it from a backup, or join again.") from error


def joining(folder: Path, link: Link, login: str = "") -> Membership:
    """A device that opens an invite: with the key that is there, or a new one. Nothing else is kept before it is let
    in. One that is in the space already asks again with what it has. `login` is an id token, for a link that lets
    nobody in by itself.

    Raises `KeyUnusable`, also where the device is in another space.
    """
    known = load(folder)
    if known is not None and known.space != link.space:
        raise KeyUnusable(
            "this device is in another space already",
            "Join with a store of its own: --store DIR, or another account of this machine.",
        )
    pair = own_key(folder)
    if known is None:
        facts = Facts(link.space, link.key.raw, link.address, pinned=bool(link.certificate))
    else:
        facts = known.facts
    return Membership(facts, pair, _keeper(folder), secret=link.secret, login=login, contact=ContactFile(folder))


def own_key(folder: Path) -> KeyPair:
    """This device's key, made where there is none yet. Raises `KeyUnusable`."""
    path = folder / KEY_FILE
    return read_key(path) if path.exists() else make_key(path)


def forget(folder: Path) -> None:
    """Destroy what is left of a membership: the device has confirmed that it destroyed all else. Raises `OSError`."""
    for name in (KEY_FILE, MEMBER_FILE, CONTACT_FILE):
        with suppress(FileNotFoundError):
            destroy(folder / name)


def _keeper(folder: Path) -> Callable[[Facts], None]:
    def keep(facts: Facts) -> None:
        path = folder / MEMBER_FILE
        try:
            with replaced(path) as file:
                file.write(facts.packed())
        except OSError as error:
            raise KeyUnusable(f"{path} cannot be written: {error.strerror}", "Check its folder.") from error

    return keep
