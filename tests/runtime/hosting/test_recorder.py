"""What sessions do is told with the commit that stores it; what tells of no change soon after, and never without a
bound."""

import asyncio
from collections.abc import Callable, Coroutine
from concurrent.futures import Future
from typing import Any

import pytest

from crdt_sync import limits
from crdt_sync.audit_log.chain import body_of
from crdt_sync.audit_log.entry import Act, Entry, administered, decode
from crdt_sync.errors import StoreFull
from crdt_sync.protocol.entries import ReportEntry
from crdt_sync.protocol.hub import Refused, StoredUpdates
from crdt_sync.runtime.hosting.recorder import Recorder, Who
from crdt_sync.storage.memory import MemoryStore
from crdt_sync.storage.values import Batch, Committed
from crdt_sync.storage.writer import WriterMetrics
from crdt_sync.verdicts import Touched, VerdictCode

MINUTE = limits.AUDIT_MINUTE_US
DEVICE = "0102030405060708090a0b0c0d0e0f10"


class Disk:
    """A writer that commits at once, or fails."""

    def __init__(self) -> None:
        self.store = MemoryStore()
        self.full = False
        self.metrics = WriterMetrics()

    def submit(self, batch: Batch, failures: int | None = None) -> "Future[Committed]":
        future: Future[Committed] = Future()
        if self.full:
            future.set_exception(StoreFull("no room"))
        else:
            future.set_result(self.store.commit([batch])[0])
        return future

    def close(self) -> None:
        pass

    @property
    def told(self) -> list[Entry]:
        return [decode(body_of(value)) for _, value in self.store.audit_after(0, 100_000)]


class Rig:
    def __init__(self) -> None:
        self.disk = Disk()
        self.now = 100 * MINUTE
        self.recorder = Recorder(asyncio.get_running_loop(), self.disk, lambda: self.now, lambda: 7)

    def come(self, session: int = 1, user: str = "anna", address: str = "192.0.2.7") -> None:
        self.recorder.arrived(session, {"user": user, "replica": DEVICE, "address": address})

    def fail(self, address: str = "192.0.2.7", code: str = "unauthorized", replica: str = DEVICE) -> None:
        self.recorder.ended(99, {"user": "", "replica": replica, "address": address}, code)


def run(scenario: Callable[[Rig], Coroutine[Any, Any, None]]) -> None:
    async def all_of_it() -> None:
        await scenario(Rig())

    asyncio.run(all_of_it())


NAME = Touched(("name",))


def change(*sessions: int, record: str = "customers/a", touched: Touched = NAME) -> StoredUpdates:
    count = len(sessions)
    return StoredUpdates(
        record, (b"u",) * count, (b"o" * 16,), b"", None, sessions=sessions, touched=(touched,) * count
    )


def test_a_change_is_told_with_its_commit_by_whose_session_it_was() -> None:
    async def scenario(rig: Rig) -> None:
        rig.come()
        rig.come(2, "ben", "192.0.2.8")
        lines = rig.recorder.of(1, [change(1), change(2, 1, 2, record="customers/b")], 5)
        told = [decode(line) for line in lines]
        assert [(entry.act, entry.user) for entry in told[:2]] == [(Act.LOGIN, "anna"), (Act.LOGIN, "ben")]
        device, accepted = bytes.fromhex(DEVICE), VerdictCode.ACCEPTED
        anna = Entry(5, Act.CHANGE, "anna", device, "192.0.2.7", "", "customers/a", ("name",), 7, accepted)
        ben = anna._replace(user="ben", address="192.0.2.8", record="customers/b", times=2)
        assert told[2:] == [anna, ben, anna._replace(record="customers/b")]
        assert rig.recorder.flush() is None, "nothing waits any more"

    run(scenario)


def test_a_change_that_brings_what_others_signed_is_told_of_each_of_them_as_brought() -> None:
    async def scenario(rig: Rig) -> None:
        rig.come()
        rig.recorder.of(1, [], 4)
        brought = change(1, touched=Touched(("name", "phone"), ("ben", "chen")))
        mixed = replace_touched(change(1, 1), Touched(("name",)), Touched(("iban",), ("ben",)))
        told = [decode(line) for line in rig.recorder.of(2, [brought, mixed], 5)]
        assert [(entry.user, entry.brought_by, entry.fields, entry.times) for entry in told] == [
            ("ben", "anna", ("name", "phone"), 1),
            ("chen", "anna", ("name", "phone"), 1),
            ("anna", "", ("name",), 1),
            ("ben", "anna", ("iban",), 1),
        ]
        assert {(entry.device.hex(), entry.address) for entry in told} == {(DEVICE, "192.0.2.7")}

    run(scenario)


def replace_touched(change: StoredUpdates, *touched: Touched) -> StoredUpdates:
    return change._replace(touched=touched)


def test_a_refused_change_under_other_names_is_counted_by_who_sent_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "AUDIT_REFUSED_NAMED_MAX", 2)

    async def scenario(rig: Rig) -> None:
        rig.come()
        for author in ("ben", "chen", "dora"):
            forged = Touched(("iban",), (author,))
            rig.recorder.refused(Refused(1, "customers/a", VerdictCode.FORBIDDEN, forged))
        rig.recorder.close()
        told = [(entry.user, entry.brought_by, entry.fields, entry.times) for entry in rig.disk.told[1:]]
        assert told == [("ben", "anna", ("iban",), 1), ("chen", "anna", ("iban",), 1), ("anna", "", (), 1)]

    run(scenario)


def test_what_rode_along_with_a_commit_that_failed_is_told_later_and_the_change_is_not() -> None:
    async def scenario(rig: Rig) -> None:
        rig.come()
        rig.recorder.of(1, [change(1)], 5)
        rig.recorder.committed(1, failed=True)
        rig.recorder.flush()
        assert [entry.act for entry in rig.disk.told] == [Act.LOGIN]
        rig.recorder.of(2, [change(1)], 6)
        rig.recorder.committed(2, failed=False)
        rig.recorder.committed(3, failed=True)
        assert rig.recorder.flush() is None

    run(scenario)


def test_lines_wait_for_a_disk_that_takes_nothing_and_beyond_a_bound_they_are_counted(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(limits, "AUDIT_WAITING_MAX", 3)

    async def scenario(rig: Rig) -> None:
        rig.disk.full = True
        for number in range(3):
            rig.recorder.note(administered(number, "operator", "invite"))
        rig.recorder.flush()
        rig.recorder.note(administered(3, "operator", "invite"))
        rig.recorder.note(administered(4, "operator", "invite"))
        await asyncio.sleep(0)  # the failure is told to the loop
        rig.disk.full = False
        rig.recorder.flush()
        assert [entry.at for entry in rig.disk.told] == [0, 1, 2]
        rig.now += MINUTE
        rig.recorder.flush()
        assert [(entry.times, entry.about) for entry in rig.disk.told[3:]] == [
            (2, "lines were lost: the disk took nothing")
        ]

    run(scenario)


def test_what_must_not_be_lost_is_on_disk_when_it_returns_or_raises() -> None:
    async def scenario(rig: Rig) -> None:
        await rig.recorder.noted(administered(1, "operator", "revoke"))
        assert [entry.about for entry in rig.disk.told] == ["revoke"]
        rig.disk.full = True
        with pytest.raises(StoreFull):
            await rig.recorder.noted(administered(2, "operator", "revoke"))

    run(scenario)


def test_a_flood_of_wrong_tokens_is_two_lines_a_minute_for_each_address() -> None:
    async def scenario(rig: Rig) -> None:
        for number in range(1000):
            rig.fail(replica=f"{number:032x}")
            rig.fail("198.51.100.9")
        rig.recorder.flush()
        assert [(entry.act, entry.address, entry.times) for entry in rig.disk.told] == [
            (Act.LOGIN_FAILED, "192.0.2.7", 1),
            (Act.LOGIN_FAILED, "198.51.100.9", 1),
        ]
        rig.now += MINUTE
        rig.recorder.flush()
        counted = rig.disk.told[2:]
        assert [(entry.address, entry.times, entry.about) for entry in counted] == [
            ("192.0.2.7", 999, "unauthorized"),
            ("198.51.100.9", 999, "unauthorized"),
        ]
        assert all(entry.device == b"" and entry.user == "" for entry in rig.disk.told), "what is not proved"

    run(scenario)


def test_a_flood_from_everywhere_is_counted_as_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "AUDIT_COUNTED_MAX", 2)

    async def scenario(rig: Rig) -> None:
        for number in range(50):
            rig.fail(f"192.0.2.{number}")
        rig.now += MINUTE
        rig.recorder.flush()
        assert [(entry.address, entry.times) for entry in rig.disk.told] == [
            ("192.0.2.0", 1), ("192.0.2.1", 1), ("(others)", 1), ("(others)", 47),
        ]  # fmt: skip

    run(scenario)


def test_a_flood_from_everywhere_takes_no_name_from_a_users_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "AUDIT_COUNTED_MAX", 2)

    async def scenario(rig: Rig) -> None:
        for number in range(9):
            rig.fail(f"192.0.2.{number}")
        rig.come()
        rig.recorder.gave(1, ["clients__finance/a"])
        rig.recorder.flush()
        assert [(entry.user, entry.act, entry.record) for entry in rig.disk.told if entry.user] == [
            ("anna", Act.LOGIN, ""),
            ("anna", Act.READ, "clients__finance/a"),
        ]

    run(scenario)


def test_what_is_counted_by_the_minute_keeps_no_line_waiting_for_it() -> None:
    async def scenario(rig: Rig) -> None:
        rig.fail()
        rig.recorder.flush()
        rig.recorder._due()
        rig.fail()  # the second is counted, and told when the minute is over
        rig.recorder.note(administered(rig.now, "operator root", "backup"))
        timer = rig.recorder._timer
        assert timer is not None
        assert timer.when() <= asyncio.get_running_loop().time() + limits.AUDIT_WAIT_S

    run(scenario)


def test_another_code_of_an_address_has_a_line_of_its_own() -> None:
    async def scenario(rig: Rig) -> None:
        rig.fail()
        rig.fail(code="token_expired")
        rig.recorder.flush()
        assert [entry.about for entry in rig.disk.told] == ["unauthorized", "token_expired"]

    run(scenario)


def test_a_session_that_was_let_in_and_is_ended_later_is_no_failed_login() -> None:
    async def scenario(rig: Rig) -> None:
        rig.come()
        rig.recorder.ended(1, {"user": "anna", "replica": DEVICE, "address": ""}, "protocol_violation")
        rig.recorder.flush()
        assert [entry.act for entry in rig.disk.told] == [Act.LOGIN]

    run(scenario)


def test_refused_changes_are_named_up_to_a_number_and_counted_beyond(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "AUDIT_REFUSED_NAMED_MAX", 2)

    async def scenario(rig: Rig) -> None:
        rig.come()
        for number in range(5):
            rig.recorder.refused(Refused(1, f"customers/{number}", VerdictCode.FORBIDDEN, Touched(("iban",))))
        rig.recorder.refused(Refused(1, "customers/x", VerdictCode.QUOTA))
        rig.recorder.close()
        told = [(entry.record, entry.fields, entry.verdict, entry.times) for entry in rig.disk.told[1:]]
        assert told == [
            ("customers/0", ("iban",), VerdictCode.FORBIDDEN, 1),
            ("customers/1", ("iban",), VerdictCode.FORBIDDEN, 1),
            ("customers/x", (), VerdictCode.QUOTA, 1),
            ("", (), VerdictCode.FORBIDDEN, 3),
        ]
        assert {entry.user for entry in rig.disk.told} == {"anna"}

    run(scenario)


def test_what_a_device_reports_is_named_up_to_a_number_a_day_and_counted_beyond(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(limits, "AUDIT_WAIT_S", 0)
    monkeypatch.setattr(limits, "AUDIT_REPORTED_DAY_MAX", 3)
    monkeypatch.setattr(limits, "AUDIT_REPORTERS_MAX", 1)

    async def scenario(rig: Rig) -> None:
        anna = Who("anna", bytes.fromhex(DEVICE), "192.0.2.7")
        ben = anna._replace(user="ben", device=bytes(16))
        for _ in range(3):
            await rig.recorder.reported(anna, [ReportEntry(0, "export", "list.csv", 7)] * 2)
            rig.now += MINUTE
        await rig.recorder.reported(ben, [ReportEntry(0, "export", "other.csv", 7)])
        rig.now += limits.QUOTA_DAY_US
        await rig.recorder.reported(anna, [ReportEntry(0, "export", "next.csv", 7)])
        rig.recorder.close()
        told = [(entry.user, entry.about, entry.times) for entry in rig.disk.told if entry.act is Act.EXPORT]
        assert [(user, times) for user, about, times in told if "list" in about] == [("anna", 1)] * 3
        assert sum(times for user, about, times in told if not about and user == "anna") == 3
        assert [user for user, about, _ in told if "other" in about or "next" in about] == ["ben", "anna"]

    run(scenario)
