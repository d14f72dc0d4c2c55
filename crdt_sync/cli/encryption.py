"""`crdt-sync store`: the store encrypted at rest, locked and unlocked, or destroyed."""

import os
import secrets
import sys
from pathlib import Path

import click

from crdt_sync.cli.commands import Commands
from crdt_sync.cli.invocation import Invocation, invocation
from crdt_sync.cli.options import PATH, gathered
from crdt_sync.cli.output import Output
from crdt_sync.cli.progress import spinner
from crdt_sync.errors import StoreLocked, StoreMissing, UsageError
from crdt_sync.replica.opening import MEMBER_FILE
from crdt_sync.replica.owner.asking import find
from crdt_sync.storage.encryption import key_box, keyrings, unlocking
from crdt_sync.storage.encryption.cipher import KEY_BYTES
from crdt_sync.storage.encryption.key_box import Box
from crdt_sync.storage.lmdb import changing
from crdt_sync.storage.wiping import wipe as wipe_store

_NEW_VARIABLE = "CRDT_SYNC_NEW_PASSPHRASE"
_BY = {"passphrase": "a passphrase", "file": "the key in a file", "keyring": "the key in the system's keyring"}


class Way:
    """By what the store's key is to be wrapped: a key file, the keyring, or else a passphrase."""

    def __init__(self, key_file: Path | None, keyring: bool) -> None:
        if key_file is not None and keyring:
            raise UsageError("both a key file and the keyring were named", "Keep one of them.")
        self._key_file = key_file
        self._keyring = keyring

    def box(self, output: Output, key: bytes) -> Box:
        """A new box for this key. Asks for a passphrase where one is needed."""
        if self._key_file is not None:
            if not self._key_file.expanduser().exists():
                key_box.make_key_file(self._key_file.expanduser())
                output.note(
                    f"A new key is in {self._key_file}. Without it the store cannot be opened: keep a copy apart."
                )
            return key_box.by_key_file(key, self._key_file)
        if self._keyring:
            name = secrets.token_hex(8)
            return key_box.wrapped(key, "keyring", keyrings.make(name), where=name)
        return key_box.by_passphrase(key, _new_passphrase(output))


way_options = gathered(
    "way",
    Way,
    click.option(
        "--key-file",
        type=PATH,
        metavar="FILE",
        help="Wrap the store's key by that in this file, which is made if need be.",
    ),
    click.option("--keyring", is_flag=True, help="Wrap it by a key in the system's keyring."),
)


@click.group("store", cls=Commands, invoke_without_command=True)
@click.pass_context
def stores(context: click.Context) -> None:
    """Encrypt this device's store, lock and unlock it, or destroy it.

    An encrypted store is opened by a passphrase, a key file or the system's keyring. Without its key nobody can read
    it, you included: there is no way around it.
    """
    if context.invoked_subcommand is not None:
        return
    call = invocation(context)
    call.must_exist()
    try:
        box = _box(call)
    except UsageError:
        call.output.result({"encrypted": False}, "This store is not encrypted. To encrypt it: crdt-sync store encrypt")
        return
    unlocked = unlocking.remembered(box.id) is not None
    where = f" ({box.where})" if box.by == "file" else ""
    kept = ", and is unlocked until you log out" if unlocked else ""
    call.output.result(
        {"encrypted": True, "by": box.by, "where": box.where, "unlocked": unlocked},
        f"This store is encrypted. It is opened by {_BY[box.by]}{where}{kept}.",
    )


@stores.command("encrypt")
@way_options
@click.pass_obj
def encrypt(call: Invocation, way: Way) -> None:
    """Encrypt this store. Cut short, it can be done again; what it was before is destroyed at the end."""
    call.must_exist()
    key = secrets.token_bytes(KEY_BYTES)
    box = way.box(call.output, key)
    with spinner(call.output, "Encrypting"):
        changing.encrypt(call.store, key, box)
    call.output.result({"encrypted": True, "by": box.by}, f"Encrypted. The store is opened by {_BY[box.by]} now.")
    call.output.note(
        "Copies made elsewhere before, backups and snapshots of the disk included, are not encrypted."
        + (" Next: crdt-sync store unlock" if box.by == "passphrase" else "")
    )


@stores.command("decrypt")
@click.pass_obj
def decrypt(call: Invocation) -> None:
    """Decrypt this store, and destroy its key."""
    call.must_exist()
    key = _key(call)
    with spinner(call.output, "Decrypting"):
        changing.decrypt(call.store, key)
    call.output.result({"encrypted": False}, "Decrypted. Whoever has this disk can read the store.")


@stores.command("unlock")
@click.pass_obj
def unlock(call: Invocation) -> None:
    """Keep this store's key in memory, until you log out or lock it: other commands ask for nothing then."""
    call.must_exist()
    unlocking.remember(_key(call))
    call.output.result({"unlocked": True}, "Unlocked until you log out, or 'crdt-sync store lock'.")


@stores.command("lock")
@click.pass_obj
def lock(call: Invocation) -> None:
    """Forget the key that 'unlock' keeps. A command that has the store open goes on until it ends."""
    call.must_exist()
    forgotten = unlocking.forget(_box(call).id)
    owner = find(call.store)
    running = None
    if owner is not None:
        with owner:
            running = owner.about.process
    call.output.result(
        {"locked": True, "was_unlocked": forgotten, "open_in": running},
        "Locked." if forgotten else "It was locked already.",
    )
    if running is not None:
        call.output.note(
            f"Process {running} has the store open, and lends its key to other commands: 'crdt-sync down' ends it.",
            "yellow",
        )


@stores.command("passwd")
@way_options
@click.pass_obj
def passwd(call: Invocation, way: Way) -> None:
    """Change the passphrase, or go over to a key file or the keyring. Nothing of the store is written anew.

    Where the passphrase of before is known to others who may have a copy of the store's directory: decrypt and
    encrypt the store, which gives it a new key.
    """
    call.must_exist()
    before = _box(call)
    box = way.box(call.output, _key(call, fresh=True))
    key_box.write(call.store, box)
    if before.by == "keyring":
        keyrings.destroy(before.where)
    call.output.result({"by": box.by}, f"Changed. The store is opened by {_BY[box.by]} now.")


@stores.command("wipe")
@click.option("--yes", is_flag=True, help="Do not ask.")
@click.pass_obj
def wipe(call: Invocation, yes: bool) -> None:
    """Destroy this store for good, its key first. What was not sent is lost."""
    if not call.store.is_dir():
        raise StoreMissing(f"there is no store in {call.store}", "Name its directory with --store.")
    if not yes and not _agreed(call.output, call.store):
        raise UsageError("nothing was destroyed", "Say --yes, or type it when you are asked.")
    if (call.store / MEMBER_FILE).exists():
        from crdt_sync.membership.folder import forget  # noqa: PLC0415 - few devices are in such a space

        forget(call.store)
    wiped = wipe_store(call.store)
    left = f" Left, as no store's: {', '.join(wiped.left)}." if wiped.left else ""
    call.output.result({"wiped": True, "key": wiped.key, "left": list(wiped.left)}, f"Destroyed.{left}")


def _key(call: Invocation, *, fresh: bool = False) -> bytes:
    """The store's key; asks for the passphrase where it is not at hand, and with `fresh` also where it is."""
    box = _box(call)
    ask = box.by == "passphrase" and call.output.can_ask
    if not (fresh and ask):
        try:
            return unlocking.found_key(call.store)
        except StoreLocked:
            if not ask:
                raise
    return key_box.open_by_passphrase(box, _hidden(call.output, "Passphrase: "))


def _box(call: Invocation) -> Box:
    """The store's wrapped key. Raises `UsageError` where the store is not encrypted."""
    if not key_box.exists(call.store) and changing.encrypted_by(call.store) is None:
        raise UsageError(f"the store in {call.store} is not encrypted", "Encrypt it: 'crdt-sync store encrypt'.")
    return key_box.read(call.store)


def _new_passphrase(output: Output) -> str:
    if not output.can_ask:
        given = os.environ.get(_NEW_VARIABLE)
        if given:
            return given
        raise UsageError(
            "there is no new passphrase, and nobody to ask",
            f"Give it in {_NEW_VARIABLE}, or use --key-file or --keyring.",
        )
    passphrase = _hidden(output, "New passphrase: ")
    if passphrase != _hidden(output, "Once more: "):
        raise UsageError("the two passphrases differ", "Try again; nothing was changed.")
    return passphrase


def _hidden(output: Output, prompt: str) -> str:
    from getpass import getpass  # noqa: PLC0415 - most commands ask for nothing

    return getpass(prompt, sys.stderr) if output.can_ask else ""


def _agreed(output: Output, store: Path) -> bool:
    if not output.can_ask:
        return False
    output.note(f"All that is in {store} is destroyed for good, edits that were not sent included. Type yes to do it.")
    return sys.stdin.readline().strip().lower() == "yes"
