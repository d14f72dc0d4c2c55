"""A copy before the format of a store is raised: releases that know the old format only can go on with it.

Raising it is one key in the transaction that needs it, so no power cut leaves anything between two formats. The copy is
a whole store in a directory beside the data file, and appears there when it is complete and on disk. It stays until
somebody deletes it.
"""

import logging
import shutil
from pathlib import Path

from crdt_sync.errors import StoreError, StoreExists
from crdt_sync.limits import UPGRADE_ROOM_BYTES
from crdt_sync.storage.lmdb import copies, directory, identity
from crdt_sync.storage.lmdb.environment import Environment

_log = logging.getLogger(__name__)


def before_lineages(environment: Environment, now: int) -> None:
    """Copy a store that is about to hold its first renewed record. `now` is in microseconds since 1970.

    Where there is no room for a copy, or the disk refuses it, the store is upgraded without one, which is logged: what
    it holds is at no risk, and a device that syncs no more would be. The caller holds `environment.writing`.
    """
    found = environment.read(identity.read_format)
    if found >= identity.LINEAGES:
        return
    path = copies.path_of(environment.path, found, now)
    try:
        free, needed = shutil.disk_usage(environment.path).free, environment.size_bytes() + UPGRADE_ROOM_BYTES
        if free < needed:
            _log.warning(
                "%s is upgraded to store format %d without a copy: there are %d MiB free, and it takes %d",
                environment.path,
                identity.LINEAGES,
                free >> 20,
                needed >> 20,
            )
            return
        _copy(environment, path)
    except (OSError, StoreError) as error:
        _log.warning("%s is upgraded to store format %d without a copy: %s", environment.path, identity.LINEAGES, error)
    else:
        _log.warning(
            "%s is upgraded to store format %d; a copy for releases that know format %d only is in %s: delete it when "
            "no such release is needed any more",
            environment.path,
            identity.LINEAGES,
            found,
            path,
        )


def _copy(environment: Environment, path: Path) -> None:
    try:
        directory.copy(environment, path)
    except StoreExists:  # of an upgrade that did not come about; more was stored since
        shutil.rmtree(path)
        directory.copy(environment, path)
