"""A device that was without contact to its space for longer than the policy allows: locked, or destroyed."""

from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import NoReturn

from crdt_sync.errors import CrdtSyncError, DeviceLocked, DeviceWiped, StoreError
from crdt_sync.files import destroy
from crdt_sync.membership.contact import Contact, ContactFile, Standing
from crdt_sync.storage.encryption import key_box, unlocking
from crdt_sync.storage.wiping import wipe

_KEPT_BESIDE = ("device.key", "member", "contact")  # see `crdt_sync.membership.folder`, which takes long to import


def standing(folder: Path, now: int) -> tuple[Standing, Contact]:
    """What the device whose store is in `folder` may do, and why."""
    file = ContactFile(folder)
    with suppress(StoreError):  # a full disk locks nobody out
        return file.look(now), file.contact
    return file.contact.standing(now), file.contact


def obeyed(folder: Path, now: int, close: Callable[[], None] = lambda: None) -> None:
    """See `opening.obey`. `close` is called before the store is destroyed."""
    found, contact = standing(folder, now)
    if found is Standing.OVER:
        close()
        _destroy(folder, contact, now)
    if found is Standing.LOCKED:
        raise locked(folder, contact, now)


def locked(folder: Path, contact: Contact, now: int) -> DeviceLocked:
    """What to raise for a locked device; the key that `store unlock` keeps is forgotten."""
    with suppress(CrdtSyncError, OSError):
        if key_box.exists(folder):
            unlocking.forget(key_box.read(folder).id)
    return DeviceLocked(
        f"this device is locked: it had no contact with its space for {contact.silent_days(now)} days, and "
        f"{contact.lock_days or contact.wipe_days} are allowed",
        "Connect to the network and run 'crdt-sync sync': the relay unlocks it. What was not sent is kept."
        + (f" After {contact.wipe_days} days it destroys what it holds." if contact.wipe_days else ""),
    )


def _destroy(folder: Path, contact: Contact, now: int) -> NoReturn:
    """Destroy store and keys: who finds the disk is not to join by them. Raises `DeviceWiped`, `StoreError`."""
    days = contact.silent_days(now)
    wipe(folder)
    for name in _KEPT_BESIDE:
        with suppress(OSError):
            destroy(folder / name)
    raise DeviceWiped(
        f"this device has destroyed what it held: it had no contact with its space for {days} days, and "
        f"{contact.wipe_days} are allowed",
        "Ask who runs the space for a new invite, and join with it: 'crdt-sync join LINK'.",
    )
