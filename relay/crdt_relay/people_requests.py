"""How commands reach a space's people: through the relay that runs, or on the store of one that does not."""

import time
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from crdt_relay.administration import Administration
from crdt_relay.auditing import act_of, note, operator
from crdt_relay.control import NotRunning, ask
from crdt_relay.settings import Settings
from crdt_sync.errors import InvalidSettings, UsageError
from crdt_sync.limits import INVITE_ADDRESS_LENGTH_MAX
from crdt_sync.runtime import certificate
from crdt_sync.runtime.space_paths import DEFAULT, at_space, named_in
from crdt_sync.storage.lmdb import LmdbStore


def done(settings: Settings, act: str, *, makes: bool = False, **arguments: object) -> Mapping[str, Any]:
    """Have something done to a space's people. `makes`: on a store that is made where there is none yet.

    Raises `UsageError`, `StoreError`, `ControlFailed`.
    """
    try:
        return ask(settings.data, "people", act=act, by=operator(), **arguments)
    except NotRunning:
        create = makes and not LmdbStore.exists(settings.data)
        with LmdbStore.open(settings.data, create=create) as store:
            administration = Administration(store, settings.space_key, lambda: time.time_ns() // 1000)
            request = {"act": act, **arguments}
            told = act_of(request)
            if told is not None:
                note(store, told[0], begins=settings.audit is not False, **told[1])
            return administration.do(request)


def place(settings: Settings, given: str | None, *, pin: bool) -> tuple[str, bytes]:
    """The address that an invite names, and the hash of the certificate there where no authority vouches for it.

    The one that is `given` may be the relay's, without the path of the space. Raises `UsageError`.
    """
    address = given or settings.address or _of_running(settings)
    if given and named_in(urlsplit(given).path) == DEFAULT:
        address = at_space(given, settings.space)
    if address is None:
        raise UsageError(
            "at which address do devices reach this relay?",
            "Name it with --address wss://HOST, or for good as 'address' in the settings file.",
        )
    if not address.startswith(("ws://", "wss://")) or len(address) > INVITE_ADDRESS_LENGTH_MAX:
        raise UsageError(f"{address[:80]!r} is no address of a relay", "It looks like wss://relay.example.org.")
    path = settings.proxy_certificate or settings.tls_certificate
    if not address.startswith("wss://") or path is None:
        return address, b""
    try:
        pinned = pin or certificate.is_self_signed(path)
        return address, certificate.fingerprint(path) if pinned else b""
    except (OSError, ValueError) as error:
        raise InvalidSettings(f"cannot read the certificate {path}: {error}", "Give a PEM file.") from error


def _of_running(settings: Settings) -> str | None:
    """The address of the relay that runs, where others can reach that."""
    try:
        url = str(ask(settings.data, "status")["url"])
    except NotRunning:
        return None
    return None if "//0.0.0.0" in url or "//[::]" in url else url
