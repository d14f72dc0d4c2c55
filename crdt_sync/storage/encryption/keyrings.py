"""The system's keyring as the place of a wrapping key; needs the extra `keyring`."""

import secrets
from contextlib import suppress
from types import ModuleType

from crdt_sync.errors import KeyUnusable, StoreLocked
from crdt_sync.storage.encryption.cipher import KEY_BYTES

_SERVICE = "crdt-sync store"


def make(name: str) -> bytes:
    """A new wrapping key, kept in the keyring under this name. Raises `KeyUnusable`."""
    keyring, failed = _keyring()
    key = secrets.token_bytes(KEY_BYTES)
    try:
        keyring.set_password(_SERVICE, name, key.hex())
    except failed as error:
        raise KeyUnusable(f"the system's keyring takes no key: {error}", "Use a passphrase or a key file.") from error
    return read(name)


def read(name: str) -> bytes:
    """The wrapping key of this name. Raises `StoreLocked` where the keyring gives none, and `KeyUnusable`."""
    keyring, failed = _keyring()
    try:
        found = keyring.get_password(_SERVICE, name)
        key = bytes.fromhex(found or "")
    except (failed, ValueError) as error:
        raise StoreLocked(f"the system's keyring gives no key: {error}", "Log in, and unlock the keyring.") from error
    if len(key) != KEY_BYTES:
        raise StoreLocked("the key of the store is not in the system's keyring", "Log in as the user who put it there.")
    return key


def destroy(name: str) -> None:
    """Take it out, if it is there."""
    keyring, failed = _keyring()
    with suppress(failed):
        keyring.delete_password(_SERVICE, name)


def _keyring() -> tuple[ModuleType, type[Exception]]:
    try:
        import keyring  # noqa: PLC0415 - an extra
        from keyring.errors import KeyringError  # noqa: PLC0415
    except ImportError as error:
        raise KeyUnusable(
            "the system's keyring cannot be used: the package 'keyring' is not installed",
            "Install 'crdt-sync[keyring]', or use a passphrase or a key file.",
        ) from error
    return keyring, KeyringError
