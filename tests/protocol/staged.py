"""Devices and a relay that carry out the steps of a script, and write down what went over the wire.

The ends are the real `Dialer` and `Hub`; what they read and ask for is scripted: see `STEPS` for what may happen. After
each step everything is carried until nobody has anything to say. A script is what `play` returns for its own steps.
"""

import dataclasses
import hashlib
import json
import re
import textwrap
from collections import deque
from collections.abc import Callable
from contextlib import ExitStack
from enum import Enum
from typing import Any
from unittest import mock

from crdt_sync.ids import Space
from crdt_sync.protocol import acceptor, codec, dialer, effects
from crdt_sync.protocol import hub as hubs
from crdt_sync.protocol.acceptor import Refusal
from crdt_sync.protocol.dialer import Dialer
from crdt_sync.protocol.entries import CheckedEntry, Standing
from crdt_sync.protocol.hub import Hub
from crdt_sync.protocol.messages import Hello, Message, Place, PresenceEntry, Resume, Verdict, VerdictCode
from crdt_sync.protocol.principal import Principal
from crdt_sync.protocol.reconcile import Index, View
from crdt_sync.protocol.versions import NEWEST
from tests.protocol.scripted import ScriptedLog, ScriptedOutbox

STEP = "- "
_SECOND = 1_000_000
_WIDTH = 116
_ROUNDS_MAX = 1_000
_VECTOR = b"\x01\x05\x07"


def name16(name: str) -> bytes:
    """An id of 16 bytes that shows its name."""
    return name.encode().ljust(16, b".")


def digest(version: str) -> bytes:
    """The digest of a record in that version."""
    return hashlib.blake2b(version.encode(), digest_size=16).digest()


def play(script: str) -> str:
    """The script with what really goes over the wire after each of its steps; the lines before the first step stay."""
    lines = script.splitlines()
    first = next((place for place, line in enumerate(lines) if line.startswith(STEP)), len(lines))
    heading = "\n".join(lines[:first]).rstrip()
    with ExitStack() as stack:
        stage = Stage(stack)
        for line in lines[first:]:
            if line.startswith(STEP):
                told = stage.written and not stage.written[-1].startswith(STEP)
                stage.written += ["", line] if told else [line]
                stage.step(line.removeprefix(STEP))
                stage.carry()
    return heading + "\n\n" + "\n".join(stage.written) + "\n"


class Staged:
    """One device: what it holds, and its end of the session."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.source = ScriptedOutbox()
        self.source.replica = name16(name)
        self.source.space = Space(name16(name), joined=False)
        self.resume: Resume | None = None
        self.epoch = b""
        self.cursor = self.head = 0
        self.dialer: Dialer | None = None
        self.session = 0
        self.gap = ""  # a record whose updates build on what is missing
        self.wall = _SECOND

    @property
    def end(self) -> Dialer:
        assert self.dialer is not None, f"{self.name} has not connected"
        return self.dialer


class Stage:
    """See the module. `written` is the transcript."""

    def __init__(self, stack: ExitStack) -> None:
        self.written: list[str] = []
        self.now = 0
        self.log = ScriptedLog()
        self.log.replica, self.log.epoch = name16("relay"), name16("first epoch")
        self.log.space = Space(name16("relay"), joined=False)
        self.digests: dict[str, bytes] = {}
        self.devices: dict[str, Staged] = {}
        self.sessions: dict[int, Staged] = {}
        self.refusals: dict[str, VerdictCode] = {}
        self.token = "token"
        self.revoked: set[bytes] = set()
        self.disk_waits = self.deaf = False
        self.waiting: deque[hubs.Commit] = deque()
        self.under_way: deque[tuple[str, Staged, bytes]] = deque()
        self.stack = stack
        self.hub = self._made()

    def _made(self, **named: Any) -> Hub:
        return Hub(self.log, self._authorise, lambda: 5 * _SECOND + self.now, lambda _: False, **named)

    def _authorise(self, hello: Hello) -> Principal | Refusal:
        if hello.token == self.token and hello.replica in self.revoked:
            return Refusal("device_revoked", "the device was revoked", None, (b"revocations 2",))
        if hello.token != self.token:
            return Refusal("unauthorized", "the token is not valid")
        return Principal(hello.replica)

    def device(self, name: str) -> Staged:
        return self.devices.setdefault(name, Staged(name))

    def view(self) -> View:
        return Index(sorted(self.digests.items())).pin()

    # --- steps -----------------------------------------------------------------------------------------------

    def step(self, text: str) -> None:
        for pattern, carried_out in STEPS.items():
            found = re.fullmatch(pattern, text)
            if found:
                carried_out(self, *found.groups())
                return
        raise AssertionError(f"no step says: {text}")

    def commit(self, record: str, update: bytes, version: str) -> int:
        self.digests[record] = digest(version)
        return self.log.commit(record, update)

    def connect(self, name: str) -> None:
        device = self.device(name)
        device.session = self.hub.connect(self.now)
        self.sessions[device.session] = device
        device.dialer = Dialer(
            device.source,
            resume=device.resume,
            token="token",
            follow=True,
            agent=name,
            wall=device.wall + self.now,
            now=self.now,
        )

    def pass_time(self, seconds: str) -> None:
        end = self.now + int(seconds) * _SECOND
        while True:
            times = [(self.hub.next_timer(session), session) for session in self.sessions]
            times += [(device.end.next_timer(), -place) for place, device in enumerate(self.sessions.values(), 1)]
            due = min(((time, which) for time, which in times if time is not None), default=(end + 1, 0))
            if due[0] > end:
                break
            self.now = max(self.now, due[0])
            if due[1] > 0:
                self.hub.timer(due[1], self.now)
            else:
                list(self.sessions.values())[-due[1] - 1].end.timer(self.now)
            self.carry()
        self.now = end

    def speak(self, name: str, versions: str) -> None:
        module = acceptor if name == "relay" else dialer
        spoken = tuple(int(version) for version in versions.split())
        self.stack.enter_context(mock.patch.object(module, "VERSIONS", spoken))

    def say(self, name: str, whom: str, statement: str) -> None:
        if name == "relay":
            self.hub.say(self.device(whom).session, (statement.encode(),), self.now)
        else:
            self.device(name).end.say((statement.encode(),))

    def give_token(self, name: str, token: str) -> None:
        self.hub.give_token(self.device(name).session, token, self.now)

    def revoke(self, name: str) -> None:
        """As a host does: it tells first, and ends the session then, if there is one."""
        self.revoked.add(name16(name))
        session = self.device(name).session
        if session in self.sessions:
            self.hub.say(session, (b"revocations 2",), self.now)
            self.hub.expel(session, "device_revoked", "the device was revoked", None, self.now)

    def refuse(self, record: str, code: str) -> None:
        self.refusals[record] = VerdictCode[code.upper()]

    def restart(self) -> None:
        """With as many sessions as may be taken already."""
        self.hub = self._made(sessions_max=0)

    def send_rubbish(self, name: str) -> None:
        self.under_way.append(("up", self.device(name), b"\xff"))

    def go_on(self) -> None:
        self.disk_waits = False
        while self.waiting:
            self._commit(self.waiting.popleft())

    def fail(self) -> None:
        self.disk_waits = False
        self.hub.commit_failed(self.waiting.popleft().number, self.now)

    def set_clock(self, name: str, seconds: str) -> None:
        device = self.device(name)
        device.wall += int(seconds) * _SECOND
        device.end.watch_clock(device.wall + self.now, self.now)

    # --- carrying --------------------------------------------------------------------------------------------

    def carry(self) -> None:
        """Carry frames and carry out effects until nobody has anything to say."""
        for _ in range(_ROUNDS_MAX):
            self._drain()
            if self.under_way:
                way, device, frame = self.under_way.popleft()
                if way == "up" and not self.deaf:
                    self.hub.receive(device.session, frame, self.now)
                elif way == "down":
                    device.end.receive(frame, self.now)
            elif not self._fill():
                return
        raise AssertionError("they never come to rest")

    def _fill(self) -> bool:
        for session in self.hub.begin_presence() if self.hub.presence_changed else ():
            self.hub.fill(session, 1 << 20, self.now)
        if self._drain():
            return True
        for session, device in self.sessions.items():
            if device.end.wants_room:
                device.end.fill(1 << 20, self.now)
                if self._drain():
                    return True
            if self.hub.wants_room(session):
                self.hub.fill(session, 1 << 20, self.now)
                if self._drain():
                    return True
        return False

    def _drain(self) -> bool:
        """Whether anybody asked for anything."""
        asked = False
        for device in list(self.devices.values()):
            while device.dialer is not None and (drained := device.dialer.drain()):
                asked = True
                for effect in drained:
                    self._of_dialer(device, effect)
        while drained_hub := self.hub.drain():
            asked = True
            for each in drained_hub:
                self._of_hub(each)
        return asked

    def _of_dialer(self, device: Staged, effect: effects.Effect) -> None:
        end = device.end
        match effect:
            case effects.Send(frame):
                self._tell(f"{device.name} > relay", codec.decode(frame, version=NEWEST))
                self.under_way.append(("up", device, frame))
            case effects.Welcomed(epoch=epoch):
                device.epoch = epoch
            case effects.Integrate():
                gaps = [(each.record, b"\x00") for each in effect.entries if each.record == device.gap]
                for each in effect.entries:
                    device.source.held[each.record] = self.digests[each.record]
                self._note(device, effect.cursor, effect.head)
                end.integrated(effect.number, gaps, self.now)
            case effects.Acknowledge():
                for pushed in effect.verdicts:
                    if pushed.verdict.code is not VerdictCode.RETRY:
                        device.source.edits.pop(pushed.record, None)
                self._note(device, effect.cursor, effect.head)
                end.acknowledged(effect.number, (), self.now)
            case effects.Compare():
                end.compare(device.source.view(), self.now)
            case effects.PinDigests():
                end.pinned(device.source.view(), self.now)
            case effects.Owe(records):
                for record in records:
                    device.source.edit(record)
                end.owed(self.now)
            case effects.CaughtUp():
                self.written.append(f"  ({device.name} has caught up)")
            case effects.SaidCame(statements):
                self.written.append(f"  ({device.name} checks and keeps {show(statements)})")
            case effects.TokenCame():
                self.written.append(f"  ({device.name} checks and keeps its new token)")
            case effects.Audited(found):
                self.written.append(
                    f"  ({device.name} finds: here {show(found.here)}, there {show(found.there)}, "
                    f"different {show(found.different)})"
                )
            case effects.Closed():
                again = "never" if effect.retry_after_us is None else f"after {effect.retry_after_us // _SECOND} s"
                self.written.append(f"  ({device.name} ends: {effect.code}; tries again: {again})")

    def _note(self, device: Staged, cursor: Place | None, head: Place) -> None:
        assert isinstance(head, int), "no policy is in force here"
        device.cursor = cursor if isinstance(cursor, int) else device.cursor
        device.head = max(device.head, head, device.cursor)
        device.resume = Resume(device.epoch, device.cursor, device.head)

    def _of_hub(self, effect: hubs.HubEffect) -> None:
        match effect:
            case hubs.Deliver(session, frame):
                device = self.sessions[session]
                self._tell(f"relay > {device.name}", codec.decode(frame, version=NEWEST))
                self.under_way.append(("down", device, frame))
            case hubs.Integrate():
                results = []
                for item in effect.items:
                    code = self.refusals.get(item.record, VerdictCode.ACCEPTED)
                    verdict = Verdict(code, new=True) if code is VerdictCode.ACCEPTED else Verdict(code, reason="so")
                    results.append(hubs.Integrated((verdict,) * len(item.updates), _VECTOR, None))
                self.hub.integrated(results, self.now)
            case hubs.Commit():
                if self.disk_waits:
                    self.waiting.append(effect)
                else:
                    self._commit(effect)
            case hubs.PinIndex(session):
                self.hub.pinned(session, self.view(), self.now)
            case hubs.PinAudit(session):
                self.hub.audit_pinned(session, self.view(), self.now)
            case hubs.MakeReceipt(session, number):
                self.hub.receipt(session, number, self.log.head(), len(self.digests), bytes(32), self.now)
            case hubs.MakeCheck(session, number, records):
                entries = [
                    CheckedEntry(record, self.digests[record], self.digests[record], Standing.AGREES)
                    if record in self.digests
                    else CheckedEntry(record, b"", b"", Standing.ABSENT)
                    for record in records
                ]
                self.hub.checked(session, number, self.log.head(), entries, self.now)
            case hubs.SaidBy(_, statements):
                self.written.append(f"  (the relay checks and keeps {show(statements)})")
            case hubs.Hangup(session):
                self.sessions.pop(session)

    def _commit(self, commit: hubs.Commit) -> None:
        seqs = [
            [self.commit(change.record, update, update.decode()) for update in change.updates]
            for change in commit.changes
        ]
        self.hub.committed(commit.number, seqs, self.now)

    def _tell(self, way: str, message: Message) -> None:
        fields = [f"{field.name}={show(getattr(message, field.name))}" for field in dataclasses.fields(message)]
        line = f"  {way}  {type(message).__name__} {' '.join(fields)}"
        self.written += textwrap.wrap(
            line, _WIDTH, subsequent_indent=" " * 8, break_long_words=False, break_on_hyphens=False
        )


def show(value: Any) -> str:
    """A value of a message as people read it."""
    match value:
        case None:
            return "none"
        case bool():
            return "yes" if value else "no"
        case Enum():
            return value.name.lower()
        case Verdict(code, seq, state_vector, reason, retry_after=wait):
            told = [show(each) for each in (seq, state_vector, reason) if each]
            if wait is not None:
                told += [f"retry_after={wait.ms}ms", *(["all"] if wait.all else [])]
            return " ".join([show(code), *told])
        case bytes():
            if value.isascii() and value.decode().isprintable() and value:
                return show(value.rstrip(b".").decode())
            return f"0x{value.hex()}" if len(value) != 32 or any(value) else "0x00…"
        case str():
            return value if re.fullmatch(r"[\w/~.-]+", value) else json.dumps(value, ensure_ascii=False)
        case tuple() if hasattr(value, "_fields"):
            return "(" + ", ".join(show(each) for each in value) + ")"
        case tuple():
            return "[" + ", ".join(show(each) for each in value) + "]"
    return str(value)


def _present(stage: Stage, name: str, record: str) -> None:
    stage.device(name).end.present((PresenceEntry(record, name),))


def _belong(stage: Stage, name: str, space: str) -> None:
    (stage.log if name == "relay" else stage.device(name).source).space = Space(name16(space), joined=True)


def _hold(stage: Stage, name: str, record: str, version: str) -> None:
    if name == "relay":
        stage.commit(record, version.encode(), version)
    else:
        stage.device(name).source.held[record] = digest(version)


def _edit(stage: Stage, name: str, record: str) -> None:
    device = stage.device(name)
    device.source.edit(record)
    device.source.held.setdefault(record, digest("edited"))
    if device.dialer is not None:
        device.dialer.notify((record,))


STEPS: dict[str, Callable[..., object]] = {
    r"the relay says to (\w+): (.+)": lambda stage, name, statement: stage.say("relay", name, statement),
    r"(\w+) says to the relay: (.+)": lambda stage, name, statement: stage.say(name, "relay", statement),
    r"the relay gives (\w+) the token (\S+)": Stage.give_token,
    r"the relay hears that (\w+) is revoked": Stage.revoke,
    r"(\w+) holds (\S+) as (\w+)": _hold,
    r"(\w+) edits (\S+)": _edit,
    r"(\w+) connects": Stage.connect,
    r"(\w+) loses the link": lambda s, n: (s.device(n).end.lost(), s.hub.lost(s.device(n).session, s.now)),
    r"(\w+) belongs to the space (\w+)": _belong,
    r"(\w+) speaks only versions? ([\d ]+)": Stage.speak,
    r"(\w+) opens (\S+)": _present,
    r"(\w+) asks for a receipt": lambda s, n: s.device(n).end.request_receipt(1),
    r"(\w+) audits": lambda s, n: s.device(n).end.audit(content=False),
    r"(\w+) checks (\S+)": lambda s, n, r: s.device(n).end.check(1, (r,), mend=False),
    r"(\w+) has (\S+) mended": lambda s, n, r: s.device(n).end.check(1, (r,), mend=True),
    r"(\w+) fetches (\S+) as a whole": lambda s, n, r: s.device(n).end.fetch((r,)),
    r"(\w+) lacks what (\S+) builds on": lambda s, n, r: setattr(s.device(n), "gap", r),
    r"(\w+) has done its work": lambda s, n: s.device(n).end.close("done", "the work is done", s.now),
    r"(\w+) expected another relay": lambda s, n: s.device(n).end.close(
        "foreign_relay", "another relay was expected", s.now
    ),
    r"(\w+) sends rubbish": Stage.send_rubbish,
    r"(\w+)'s clock is set by (\d+) seconds": Stage.set_clock,
    r"(\d+) seconds pass": Stage.pass_time,
    r"the relay refuses (\S+) as (\w+)": Stage.refuse,
    r"the relay's disk waits": lambda s: setattr(s, "disk_waits", True),
    r"the relay's disk goes on": Stage.go_on,
    r"the relay's disk fails": Stage.fail,
    r"the relay takes another token": lambda s: setattr(s, "token", "another"),
    r"the relay takes the token again": lambda s: setattr(s, "token", "token"),
    r"everybody speaks all versions again": lambda s: s.stack.close(),
    r"the relay is full": Stage.restart,
    r"the relay was wiped": lambda s: setattr(s.log, "epoch", name16("second epoch")),
    r"the relay hears nothing any more": lambda s: setattr(s, "deaf", True),
    r"the relay shuts down": lambda s: s.hub.close("going_away", "the relay shuts down", 5 * _SECOND, s.now),
    r"the relay cannot serve (\w+)": lambda s, n: s.hub.expel(
        s.device(n).session, "unavailable", "this cannot be served now", 30 * _SECOND, s.now
    ),
}
"""What may happen, as a script says it."""
