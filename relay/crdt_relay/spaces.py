"""The spaces of a relay on its disk: the default is the data directory itself, each other one a directory in `spaces`.

What a space has is all in its directory: records, key, settings of its own. One that is removed is moved to `removed`,
whole, and can be put back.
"""

import re
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from crdt_relay.administration import Administration
from crdt_relay.ownership import give_to_owner
from crdt_relay.settings import SPACE_KEY_FILE, Settings, from_file
from crdt_sync.errors import SpaceExists, UnknownSpace, UsageError
from crdt_sync.files import sync_folder
from crdt_sync.limits import SPACES_MAX
from crdt_sync.nearest import suggestion
from crdt_sync.runtime.space_paths import DEFAULT, is_name
from crdt_sync.storage.lmdb import LmdbStore
from crdt_sync.storage.lmdb.directory import claimed
from crdt_sync.storage.lmdb.failures import translate
from crdt_sync.storage.lmdb.lock import StoreLock

OWN_SETTINGS: Final = "space.toml"
_SPACES: Final = "spaces"
_REMOVED: Final = "removed"
_KEPT: Final = re.compile(r"(.+)-\d{8}T\d{6}Z(?:-\d+)?")
_OF_DEVICES: Final = ("device.key", "member")  # beside the store of a device
_ADDING: Final = ".adding-"  # no space may be called so


def names(data: Path) -> list[str]:
    """The spaces beside the default, sorted. Raises `StoreError`."""
    try:
        found = [each.name for each in (data / _SPACES).iterdir() if is_name(each.name) and each.is_dir()]
    except FileNotFoundError:
        return []
    except OSError as error:
        raise translate(error, data / _SPACES) from error
    return sorted(found)


def settings_of(settings: Settings, name: str) -> Settings:
    """The settings that a space goes by, of those of its relay. Raises `UnknownSpace`, `InvalidSettings`."""
    if check_name(name) == DEFAULT:
        return settings
    folder = _found(settings.data, name)
    own = folder / OWN_SETTINGS
    return settings.of_space(name, folder, from_file(own) if own.is_file() else {}, own)


def check_name(name: str) -> str:
    """The name, where a space may be called so. Raises `UsageError`."""
    if not is_name(name):
        raise UsageError(
            f"a space cannot be called {name[:80]!r}",
            "Take 1 to 40 small letters, digits and hyphens, beginning and ending with a letter or a digit.",
        )
    return name


def add(data: Path, name: str, wall_clock: Callable[[], int], back: Path | None = None) -> dict[str, Any]:
    """Make a space, with a key of its own, or put one `back` that was removed. A relay that runs has to open it then.

    Cut short, it can be done again. Raises `SpaceExists`, `UsageError`, `StoreError`.
    """
    others = names(data)
    if check_name(name) in {DEFAULT, *others}:
        raise SpaceExists(f"there is a space {name!r} already", "Choose another name.")
    if len(others) >= SPACES_MAX:
        raise UsageError(f"a relay hosts at most {SPACES_MAX} spaces", "Host more by another relay.")
    folder = data / _SPACES / name
    if back is not None:
        _check_removed(name, back)
    try:
        folder.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        if back is None:
            made = folder.with_name(f"{_ADDING}{name}")
            with claimed(made):
                with LmdbStore.open(made, create=True) as store:
                    Administration(store, made / SPACE_KEY_FILE, wall_clock).begin()
                made.rename(folder)
        else:
            lock = StoreLock(back)
            try:
                back.rename(folder)
            finally:
                lock.release()
        sync_folder(folder.parent)
        give_to_owner(data)
    except OSError as error:
        raise translate(error, folder) from error
    return {"space": name, "data": str(folder)}


def remove(data: Path, name: str) -> dict[str, Any]:
    """Move a space away that nobody has open; it is kept whole. Raises `UnknownSpace`, `UsageError`, `StoreError`."""
    if check_name(name) == DEFAULT:
        raise UsageError("the space 'default' cannot be removed", "Stop the relay, and move its data directory away.")
    folder = _found(data, name)
    kept = _place_for(data, name)
    lock = StoreLock(folder)
    try:
        kept.parent.mkdir(mode=0o700, exist_ok=True)
        folder.rename(kept)
        sync_folder(folder.parent)
        sync_folder(kept.parent)
    except OSError as error:
        raise translate(error, kept) from error
    finally:
        lock.release()
    return {"space": name, "kept": str(kept)}


def _place_for(data: Path, name: str) -> Path:
    """Where a space is to be kept that is removed now: nothing is there."""
    kept = data / _REMOVED / f"{name}-{time.strftime('%Y%m%dT%H%M%SZ', time.gmtime())}"
    number, free = 1, kept
    while free.exists():
        number += 1
        free = kept.with_name(f"{kept.name}-{number}")
    return free


def _check_removed(name: str, back: Path) -> None:
    """Raises `UsageError` where `back` is not what was kept of the space `name` when it was removed."""
    what = "Name the directory that 'crdt-relay space remove' told."
    if not LmdbStore.exists(back):
        raise UsageError(f"there is no space in {back}", what)
    told = _KEPT.fullmatch(back.name)
    if told is None or any((back / own).exists() for own in _OF_DEVICES):
        raise UsageError(f"{back} is not what was kept of a space that was removed", what)
    if told[1] != name:
        raise UsageError(
            f"{back} was the space {told[1]!r}, and not {name!r}",
            f"Put it back under its name: crdt-relay space add {told[1]} --back {back}",
        )


def _found(data: Path, name: str) -> Path:
    """Where a space is that is there. Raises `UnknownSpace`."""
    folder = data / _SPACES / name
    if not folder.is_dir():
        raise UnknownSpace(
            f"there is no space {name!r} in {data}",
            f"{suggestion(name, [DEFAULT, *names(data)], 'spaces')} Make it with: crdt-relay space add {name}",
        )
    return folder
