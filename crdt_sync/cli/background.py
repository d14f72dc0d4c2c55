"""Commands that keep a device in sync in the background: `up` and `down`."""

import asyncio
import os
import re
import shlex
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, fields
from pathlib import Path

import click

from crdt_sync.cli import last_failure, partners
from crdt_sync.cli.invocation import Invocation
from crdt_sync.cli.owners import described
from crdt_sync.cli.staying import STANDING, STOP
from crdt_sync.cli.timed_lines import time_lines
from crdt_sync.errors import CrdtSyncError, NotServed, OwnerGone, StoreFailed, UsageError
from crdt_sync.files import replaced
from crdt_sync.replica.owner.asking import Owner, find
from crdt_sync.replica.owner.failures import unpacked
from crdt_sync.replica.owner.link import About
from crdt_sync.storage.lmdb.lock import StoreLock, let_go

ROLE = "crdt-sync up"
LOG_NAME = "up.log"
UNIT_NAME = "crdt-sync.service"
_LOG_BYTES_MAX = 1 << 20
_LOG_LOOKED_AT_S = 60.0
_BEGINS_S = 30.0
_ENDS_S = 30.0
_CONNECTS_S = 5.0  # what a terminal waits for the first connection, or why there is none
_UNDER_WAY = frozenset({"starting", "connecting", "exchanging"})
_LOOK_S = 0.02


@click.command("up")
@click.option("--listen", "listening", is_flag=True, help="Let other devices call, too; see 'listen'.")
@click.option("--announce", is_flag=True, help="Let devices near find this one; with --listen.")
@click.option("--foreground", is_flag=True, help="Stay here, as service managers want it.")
@click.option("--unit", is_flag=True, help="Print a systemd user unit that does it.")
@click.option("--write-unit", is_flag=True, help="Write that unit where systemd looks for it.")
@click.pass_obj
def up(call: Invocation, listening: bool, announce: bool, foreground: bool, unit: bool, write_unit: bool) -> None:
    """Keep this device in sync in the background, until 'crdt-sync down'. Other commands go on as usual."""
    flags = [flag for flag, given in (("--listen", listening), ("--announce", announce)) if given]
    if announce and not listening:
        raise UsageError("--announce tells others where to call, but nobody listens", "Add --listen.")
    if not (unit or write_unit):
        from crdt_sync.cli.syncing import meet_again  # noqa: PLC0415 - `down` needs none of it

        meet_again(call.store)
    call.must_exist()
    if unit or write_unit:
        _unit(call, flags, write=write_unit)
    elif foreground:
        _stay(call, flags)
    else:
        _begin(call, flags)


def _stay(call: Invocation, flags: Sequence[str]) -> None:
    if not call.output.as_json:
        time_lines()
    role = " ".join((ROLE, *flags))  # so that others see what it does
    if "--listen" in flags:
        from crdt_sync.cli.listening import listen_here  # noqa: PLC0415 - `down` needs none of it

        listen_here(call, announce="--announce" in flags, role=role, beside_it=(_keep_log_small,))
        return
    from crdt_sync.cli.syncing import watch  # noqa: PLC0415

    address = partners.chosen(call.store, None)
    assert address is not None
    with call.open() as replica:
        watch(call, replica, [address], role, (_keep_log_small,))


def _begin(call: Invocation, flags: Sequence[str]) -> None:
    owner = find(call.store)
    if owner is not None:
        with owner:
            if not owner.about.role.startswith(ROLE):
                raise owner.refusal(f"'{ROLE}'")
            _check_does(owner.about, flags)
            _tell(call, owner.about, "Already up", _connected(owner))
            return
    if "--listen" not in flags:
        partners.chosen(call.store, None)  # which says what is missing
    log = call.store / LOG_NAME
    with suppress(OSError):
        if log.stat().st_size > _LOG_BYTES_MAX:
            log.replace(log.with_suffix(".log.before"))
    with open(log, "ab", opener=lambda name, mode: os.open(name, mode, 0o600)) as output:
        start = output.tell()
        child = subprocess.Popen(
            _command(call.store, flags),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
            creationflags=getattr(subprocess, "DETACHED_PROCESS", 0),  # Windows
        )
    until = time.monotonic() + _BEGINS_S
    while time.monotonic() < until:
        owner = find(call.store)
        if owner is not None:
            with suppress(OwnerGone), owner:  # it ends: its log says why
                standing = _connected(owner)
                child.returncode = 0  # it lives on by itself: nobody waits for it here
                _tell(call, owner.about, "Up", standing)
                return
        if child.poll() is not None:
            raise _last_words(log, start)
        time.sleep(_LOOK_S)
    child.kill()
    child.wait()
    raise StoreFailed(f"it did not begin within {_BEGINS_S:g} s", f"See {log}.")


def _command(store: Path, flags: Sequence[str]) -> list[str]:
    return [sys.executable, "-m", "crdt_sync", "--store", str(store.absolute()), "up", "--foreground", *flags]


def _last_words(log: Path, start: int) -> CrdtSyncError:
    """Why the process ended, as it told its log from `start` on, with or without the time."""
    told = ""
    with suppress(OSError), log.open("rb") as file:
        file.seek(start)
        told = file.read(1 << 16).decode("utf-8", "replace").strip()
    error = re.search(r"^(?:\S+ )?Error \((\w+)\): (.*)((?:\n  .*)*)\Z", told, re.MULTILINE)
    if error is None:
        return StoreFailed(f"it ended at once: {' '.join(told.splitlines()[-2:]) or 'it said nothing'}", f"See {log}.")
    return unpacked((error[1], error[2], "\n".join(map(str.strip, error[3].strip().split("\n"))), ()))


@dataclass(frozen=True, slots=True)
class _Standing:
    """How a command that stays gets on with one partner, or with listening."""

    url: str
    state: str
    problem: str

    @property
    def trouble(self) -> str:
        """Why it is not connected; empty where it is."""
        if self.state == "offline":
            return f"not connected yet: {self.problem.rstrip('.')}; it tries on"
        if self.state == "exchanging":  # or the partner has not said yet whether it will
            return f"not in sync yet with {self.url}; it goes on"
        if self.state == "starting":
            return "not listening yet"
        if self.state == "connecting":
            return f"not connected yet: no answer of {self.url} so far; it tries on"
        return f"given up with {self.url}: {self.problem.rstrip('.')}" if self.state == "given up" else ""


def _connected(owner: Owner) -> list[_Standing]:
    """Wait for the first connections, a little; then tell how they stand. Raises `OwnerGone` where it ends."""
    until = time.monotonic() + _CONNECTS_S
    while True:
        try:
            answer = owner.ask(STANDING)
        except NotServed:  # by an earlier release
            return []
        rows = [row for row in answer if isinstance(row, tuple)] if isinstance(answer, tuple) else []
        standing = [_Standing(*map(str, row)) for row in rows if len(row) == len(fields(_Standing))]
        if not any(each.state in _UNDER_WAY for each in standing) or time.monotonic() > until:
            return standing
        time.sleep(_LOOK_S)


def _check_does(about: About, flags: Sequence[str]) -> None:
    """Raise `UsageError` where what runs does not do all that is asked for."""
    missing = [flag for flag in flags if flag not in about.role.split()]
    if missing:
        raise UsageError(
            f"process {about.process} keeps this device in sync already, without {' and '.join(missing)}",
            f"End it, and begin again: crdt-sync down, then crdt-sync up {' '.join(flags)}",
        )


def _tell(call: Invocation, about: About, word: str, standing: Sequence[_Standing]) -> None:
    data = {"up": True, **described(about), "log": str(call.store / LOG_NAME), "standing": list(map(asdict, standing))}
    listens = "--listen" in about.role.split()
    troubles = [each.trouble for each in standing if each.trouble]
    if troubles:
        what = f"{'; '.join(troubles)}. Process {about.process} {'listens' if listens else 'runs'}"
        call.output.result(data, f"{word}, {what}; 'crdt-sync down' ends it.")
        return
    also = ", and listens" if listens else ""
    call.output.result(
        data, f"{word}: process {about.process} keeps this device in sync{also}. 'crdt-sync down' ends it."
    )


async def _keep_log_small() -> None:
    """What is printed to a file goes on for months."""
    while True:
        with suppress(OSError, AttributeError, ValueError):
            number = sys.stdout.fileno()
            if os.fstat(number).st_size > _LOG_BYTES_MAX:
                os.ftruncate(number, 0)
        await asyncio.sleep(_LOG_LOOKED_AT_S)


@click.command("down")
@click.pass_obj
def down(call: Invocation) -> None:
    """End what 'crdt-sync up' began, or another command that stays, for this store."""
    call.must_exist()
    owner = find(call.store)
    if owner is None:
        StoreLock(call.store).release()  # or an error that names who has the store, and answers nobody
        failed = last_failure.load(call.store)
        told = {} if failed is None else {"last_failure": failed.data()}
        why = "" if failed is None else f"\n{failed.sentence()}"
        nothing = f"Nothing runs in the background for this store.{why}"
        call.output.result({"up": False, "ended": False, **told}, nothing)
        return
    with owner:
        about = owner.about
        try:
            owner.ask(STOP)
        except NotServed:
            raise NotServed(
                f"process {about.process} ({about.called}) owns the store, and was not begun by this command",
                "End that program itself.",
            ) from None
        except OwnerGone:
            pass  # it ends
    until = time.monotonic() + _ENDS_S
    while time.monotonic() < until:
        if let_go(call.store, about.process):  # another program may own it at once
            call.output.result({"up": False, "ended": True, "process": about.process}, "Ended. Nothing is lost.")
            return
        time.sleep(_LOOK_S)
    raise StoreFailed(
        f"process {about.process} did not end within {_ENDS_S:g} s", f"See {call.store / LOG_NAME}; end it yourself."
    )


def _unit(call: Invocation, flags: Sequence[str], *, write: bool) -> None:
    text = unit_text(call.store.absolute(), flags)
    if not write:
        call.output.result({"unit": text}, text.rstrip("\n"))
        return
    home = Path(os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config")
    path = home / "systemd" / "user" / UNIT_NAME
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.exists() and path.read_text("utf-8") != text:
            raise UsageError(f"{path} is there already, and says something else", "Look at it, and remove it first.")
        with replaced(path, 0o644) as file:
            file.write(text.encode())
    except OSError as error:
        raise StoreFailed(f"{path} cannot be written: {error.strerror}", "Print it with --unit instead.") from error
    call.output.result(
        {"unit": text, "file": str(path)},
        f"{path} written. Start it with: systemctl --user daemon-reload && systemctl --user enable --now crdt-sync\n"
        "To have it run while nobody is logged in: loginctl enable-linger",
    )


def unit_text(store: Path, flags: Sequence[str]) -> str:
    """The systemd user unit for a store."""
    words = [part.replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%") for part in _command(store, flags)]
    command = " ".join(f'"{word}"' if word != shlex.quote(word) or not word else word for word in words)
    return f"""[Unit]
Description=crdt-sync keeps this device in sync
Wants=network-online.target
After=network-online.target

[Service]
ExecStart={command}
Restart=on-failure
RestartSec=10

[Install]
WantedBy=default.target
"""
