"""What masks show, at a relay that goes by a policy, workers and all: who has only the mask has no more than that."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path

import pytest

from crdt_sync import Replica, ids
from crdt_sync.errors import EditForbidden
from crdt_sync.exchange import ExportOptions, export_table, import_table, open_table
from crdt_sync.policy.cells import Seen
from crdt_sync.policy.in_force import InForce
from crdt_sync.protocol.sight import Sight
from crdt_sync.records import masking
from crdt_sync.records.gate import permitted
from crdt_sync.replica import intake, refused
from crdt_sync.replica.intake import Intake
from crdt_sync.replica.masking import Masker, Page
from crdt_sync.replica.origin import Origin, Way
from crdt_sync.replica.views import Part, RecordView
from crdt_sync.runtime.hosting.engine import Engine
from crdt_sync.runtime.worker import service
from crdt_sync.storage.values import Batch, OutboxEntry
from crdt_sync.verdicts import VerdictCode
from tests.replica.people import policy
from tests.runtime.test_going_by_a_policy import NOW, WITH_SCHEMAS, made
from tests.runtime.test_sections import MARKER, SCHEMA, Clinic, by_hand, has, pushed
from tests.runtime.test_sections import POLICY as SECTIONS

pytestmark = pytest.mark.usefixtures("local_workers")

OTHER = "DE02500105170137075030"
GRANT = """
[[role.desk.grant]]
collection = "people"
where = "region in user.regions"
read = ["*", "iban"]
write = ["name"]
mask = { iban = "last4" }
operations = ["edit"]
"""
POLICY = (
    SECTIONS.replace("[user]", GRANT + "[user]")
    + """
dan = { role = "desk", attributes = { regions = ["North"] } }
eve = { role = "desk", attributes = { regions = ["South"] } }
"""
)


class Desk(Clinic):
    """A clinic whose relay derives what masks show."""

    async def sync(self, *replicas: Replica) -> None:
        for replica in replicas:
            await super().sync(replica)
            await self.derived()

    async def derived(self) -> None:
        assert self.engine.masking is not None
        await self.engine.masking.settled()

    def go_by(self, text: str) -> None:
        self.held = policy(WITH_SCHEMAS + text)
        self.engine.policy_changed()


def run(scenario: Callable[[Desk], Awaitable[None]], held: InForce | None = None) -> None:
    async def whole() -> None:
        desk = Desk(held or policy(WITH_SCHEMAS + POLICY))
        boss = desk.device("chen")
        boss.add_schema(SCHEMA)
        await desk.sync(boss)
        desk.sent.clear()
        try:
            await scenario(desk)
        finally:
            await desk.engine.stop(0, 1)

    asyncio.run(whole())


def shown(replica: Replica) -> list[dict[str, object]]:
    return [dict(view) for view in replica.list("people")]


def test_who_has_only_the_mask_sees_what_it_shows_and_has_no_more_of_it_anywhere() -> None:
    async def scenario(desk: Desk) -> None:
        chen, dan, anna, kai = desk.staff("chen", "dan", "anna", "kai")
        record = made(chen, name="Bo", region="North", iban=MARKER)
        await desk.sync(chen, dan, anna, kai)
        view = dan.get(record)
        assert dict(view) == {"name": "Bo", "region": "North", "iban": "****2051"}
        assert (view.masked, set(view.raw)) == ({"iban": Part("****2051", "last4")}, {"name", "region"})
        assert shown(dan) == [dict(view)]
        assert not has(dan, MARKER)
        assert not any(MARKER.encode() in frame for frame in desk.sent[dan.id])
        for whole in (chen, kai):  # who reads it whole is not given what the mask shows
            assert (whole.get(record)["iban"], whole.get(record).masked) == (MARKER, {})
            assert whole.store.records("", 9, "people__iban") == []
        assert "iban" not in anna.get(record)
        assert not any(b"people__" in frame for frame in desk.sent[anna.id])

    run(scenario)


def test_what_is_shown_in_part_follows_each_edit_until_it_is_emptied() -> None:
    async def scenario(desk: Desk) -> None:
        chen, dan = desk.staff("chen", "dan")
        record = made(chen, name="Bo", region="North", iban=MARKER)
        await desk.sync(chen, dan)
        for value, part in ((OTHER, "****5030"), ("12", "****"), (None, None), (MARKER, "****2051")):
            with chen.edit(record) as person:
                person["iban"] = value
            await desk.sync(chen, dan)
            assert dan.get(record).get("iban") == part

    run(scenario)


def test_what_a_mask_shows_goes_and_comes_with_its_record() -> None:
    async def scenario(desk: Desk) -> None:
        chen, dan, eve = desk.staff("chen", "dan", "eve")
        record = made(chen, name="Bo", region="North", iban=MARKER)
        await desk.sync(chen, dan, eve)
        for region, dans, eves in (("South", [], ["****2051"]), ("North", ["****2051"], [])):
            with chen.edit(record) as person:
                person["region"] = region
            await desk.sync(chen, dan, eve)
            assert [view["iban"] for view in dan.list("people")] == dans
            assert [view["iban"] for view in eve.list("people")] == eves
            assert (has(dan, "****2051"), has(eve, "****2051")) == (bool(dans), bool(eves))
        chen.delete(record)
        await desk.sync(chen, dan)
        assert (shown(dan), dan.get(record)["iban"]) == ([], "****2051")
        chen.restore(record)
        await desk.sync(chen, dan)
        assert [view["iban"] for view in dan.list("people")] == ["****2051"]

    run(scenario)


def test_a_policy_that_masks_more_derives_what_is_there_and_one_that_masks_less_empties_it() -> None:
    async def scenario(desk: Desk) -> None:
        desk.go_by(POLICY.replace('mask = { iban = "last4" }', "", 2))
        chen, dan, max_ = desk.staff("chen", "dan", "max")
        records = sorted(made(chen, name=f"P{n}", region="North", iban=f"DE{n:02}0000001{n:03}") for n in range(150))
        await desk.sync(chen, dan, max_)
        assert desk.store.records("", 9, "people__iban") == []
        desk.go_by(POLICY)
        await desk.derived()
        await desk.sync(dan)
        assert sorted(str(view["iban"]) for view in dan.list("people")) == [f"****1{n:03}" for n in range(150)]
        desk.go_by(POLICY.replace('mask = { iban = "last4" }', 'mask = { iban = "phone" }', 2))
        await desk.derived()
        await desk.sync(dan)
        assert {dan.get(record).masked["iban"].mask for record in records} == {"phone"}
        assert dan.store.records("", 9, "people__iban__last4/") == []
        left = [desk.store.load(ids.in_part(record, "iban", "last4")).updates for record in records]
        assert not any(b"****1" in update for updates in left for update in updates)

    run(scenario)


def test_deriving_goes_on_where_it_stood_and_keeps_up_after_a_restart() -> None:
    async def scenario(desk: Desk) -> None:
        chen, dan = desk.staff("chen", "dan")
        record = made(chen, name="Bo", region="North", iban=MARKER)
        await desk.sync(chen, dan)
        engine = desk.engine
        engine.masking = None  # as if it had ended before it derived anything
        with chen.edit(record) as person:
            person["iban"] = OTHER
        await Clinic.sync(desk, chen, dan)
        assert dan.get(record)["iban"] == "****2051"
        await engine.stop(0, 1)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(Masker, "_scanned", None)  # nothing is read that was read before
            desk.engine = Engine(desk.store, desk._principal, lambda: NOW, in_force=lambda: desk.held)
            await desk.engine.start()
            await desk.derived()
            await desk.sync(dan)
        assert dan.get(record)["iban"] == "****5030"

    run(scenario)


def test_values_that_wait_for_a_decision_are_all_shown_in_part() -> None:
    async def scenario(desk: Desk) -> None:
        desk.go_by(POLICY.replace("iban", "account"))
        chen, ada, dan = desk.staff("chen", "chen", "dan")
        record = made(chen, name="Bo", region="North", account=MARKER)
        await desk.sync(chen, ada, dan)
        for replica, value in ((chen, OTHER), (ada, "DE75512108001245126199")):
            with replica.edit(record) as person:
                person["account"] = value
        await desk.sync(chen, ada, chen, dan)
        (whole,), (part,) = chen.conflicts_of(record), dan.conflicts_of(record)
        assert [entry.value for entry in part.entries] == [f"****{str(entry.value)[-4:]}" for entry in whole.entries]
        assert dan.get(record)["account"] == f"****{chen.get(record)['account'][-4:]}"
        assert dan.get(record).conflicts == ("account",)
        chen.resolve(record, "account", MARKER)
        await desk.sync(chen, dan)
        assert (dan.get(record)["account"], dan.conflicts()) == ("****2051", ())

    run(scenario)


def test_what_is_seen_in_part_is_edited_by_nobody_and_found_by_no_value() -> None:
    async def scenario(desk: Desk) -> None:
        chen, dan = desk.staff("chen", "dan")
        record = made(chen, name="Bo", region="North", iban=MARKER)
        await desk.sync(chen, dan)
        with pytest.raises(EditForbidden) as raised, dan.edit(record) as person:
            person["iban"] = "DE1"
        assert (raised.value.field, "sees this field in part" in raised.value.rule) == ("iban", True)
        for value in (MARKER, "****2051"):
            assert list(dan.find("people", iban=value)) == []
        assert [view.record for view in dan.find("people", "2051")] == [record]
        with dan.edit(record) as person:
            person["name"] = "Cy"
        await desk.sync(dan, chen)
        assert dict(chen.get(record)) == {"name": "Cy", "region": "North", "iban": MARKER}
        assert (refused.refused_edits(dan.store), dan.record_status(record).state) == ([], "stored")

    run(scenario)


def test_tables_show_what_a_mask_shows_and_bring_it_to_nobody_as_a_value(tmp_path: Path) -> None:
    async def scenario(desk: Desk) -> None:
        chen, dan = desk.staff("chen", "dan")
        record = made(chen, name="Bo", region="North", iban=MARKER)
        await desk.sync(chen, dan)
        for name in ("people.csv", "people.jsonl", "people.xlsx"):
            table = tmp_path / name
            export_table(dan, "people", table, ExportOptions(record_column="record", headers="name"))
            assert name.endswith("xlsx") or b"****2051" in table.read_bytes()
            assert MARKER.encode() not in table.read_bytes()
            report = import_table(chen, open_table(table), "people", record_column="record")
            assert (report.unchanged, report.failures, report.failed) == (1, 0, ())
            with chen.edit(record) as person:
                person["iban"] = OTHER
            report = import_table(chen, open_table(table), "people", record_column="record")
            assert [(problem.column, problem.code) for problem in report.failed] == [("iban", "masked")]
            assert chen.get(record)["iban"] == OTHER
            with chen.edit(record) as person:
                person["iban"] = MARKER

    run(scenario)


@pytest.mark.parametrize("way", ["session", "device", "bundle", "push"])
def test_a_device_believes_a_relay_alone_what_a_mask_shows_and_gives_it_to_nobody(way: Way) -> None:
    async def scenario(desk: Desk) -> None:
        chen, dan = desk.staff("chen", "dan")
        record = made(chen, name="Bo", region="North")
        await desk.sync(chen, dan)
        forged = ids.in_part(record, "iban", "last4")
        origin = Origin.of(way, b"somebody else....")
        if way == "push":
            sight = dan.context.own_sight()  # what a device that listens goes by before it stores anything
            assert sight is not None
            assert not sight.holds(forged, dan.context.forms_of(record) or {})
            return
        with dan.context.lock:
            taking = Intake(dan.context)
            taken = taking.take(forged, (by_hand("c.iban", "chen"),), origin)
        is_refused = way != "session"
        assert [verdict.code for verdict in taken.verdicts] == [
            VerdictCode.FORBIDDEN if is_refused else VerdictCode.ACCEPTED
        ]
        assert (bool(taking.changes), taking.outbox) == (not is_refused, [])

    run(scenario)


def test_what_a_device_holds_beside_a_relay_that_was_put_back_becomes_what_the_relay_shows() -> None:
    async def scenario(desk: Desk) -> None:
        chen, dan = desk.staff("chen", "dan")
        record, gone = (made(chen, name="Bo", region="North", iban=iban) for iban in (MARKER, None))
        await desk.sync(chen, dan)
        for each in (record, gone):  # as if the relay had derived it in a life of which no backup tells
            row, (relay,) = ids.in_part(each, "iban", "last4"), dan.store.peers()
            with dan.context.lock:
                taking = Intake(dan.context)
                taking.take(row, (by_hand("c.iban", "chen"),), Origin.of("session", relay.replica))
                owed = (relay.replica, OutboxEntry(row, b"\0", dan.context.next_edit()))
                dan.store.commit([replace(taking.batch(), outbox=(owed,))])
        assert has(dan, "evil")
        await desk.sync(dan, dan)
        assert (dan.get(record)["iban"], dan.get(gone).get("iban")) == ("****2051", None)
        assert (has(dan, "evil"), refused.refused_edits(dan.store)) == (False, [])
        assert dan.status().partners[0].pending == dan.status().partners[0].refused == 0

    run(scenario)


@pytest.mark.parametrize("user", ["chen", "dan", "anna"])
def test_nobody_pushes_what_a_mask_shows(user: str) -> None:
    async def scenario(desk: Desk) -> None:
        (chen,) = desk.staff("chen")
        record = made(chen, name="Bo", region="North", iban=MARKER)
        await desk.sync(chen)
        forged = ids.in_part(record, "iban", "last4")
        told = await pushed(desk, user, forged, by_hand("c.iban", user))
        assert told == (
            permitted.DERIVED if user == "dan" else "this record may not be held by this device, nor made by it"
        )
        assert not any(b"evil" in update for update in desk.store.load(forged).updates)

    run(scenario)


def test_what_was_made_up_before_there_was_a_policy_is_emptied() -> None:
    async def scenario(desk: Desk) -> None:
        chen, dan = desk.staff("chen", "dan")
        record = made(chen, name="Bo", region="North")
        await desk.sync(chen)
        desk.held, held = None, desk.held
        forged = ids.in_part(record, "iban", "last4")
        assert await pushed(desk, "chen", forged, by_hand("c.iban", "chen")) == ""
        desk.held = held
        desk.go_by(POLICY + "\n# again")
        desk.store.commit([Batch(meta={"masks": None})])  # nothing was derived before, as it was not this release's
        desk.go_by(POLICY)
        await desk.derived()
        await desk.sync(dan)
        assert "iban" not in dan.get(record)
        assert not has(dan, "evil")

    run(scenario)


def _said_by(user: str) -> Callable[[], None]:
    return lambda: test_nobody_pushes_what_a_mask_shows(user)


GIVES, HOLDS, UNIT, WRITE = Seen.gives, Sight.holds, Masker._unit, masking.write_masked


def _join_as_value(self: RecordView, stored: bytes, *_: str) -> None:
    self.raw.update(json.loads(stored)["fields"])


PLANTED: dict[str, tuple[tuple[object, str, object], Callable[[], None]]] = {
    "the whole value is shown": (
        (masking, "masked", lambda _, text: text),
        test_who_has_only_the_mask_sees_what_it_shows_and_has_no_more_of_it_anywhere,
    ),
    "what a mask shows stays as it was first": (
        (Masker, "_followed", lambda _: None),
        test_what_is_shown_in_part_follows_each_edit_until_it_is_emptied,
    ),
    "an emptied value stays": (
        (service, "write_masked", lambda document, field, entries: bool(entries) and WRITE(document, field, entries)),
        test_what_is_shown_in_part_follows_each_edit_until_it_is_emptied,
    ),
    "one of several values alone is shown": (
        (masking, "MASKED_VALUES_MAX", 1),
        test_values_that_wait_for_a_decision_are_all_shown_in_part,
    ),
    "whoever reads a value whole is given its mask too": (
        (Seen, "gives", lambda self, section: GIVES(self, section.partition("__")[0])),
        test_who_has_only_the_mask_sees_what_it_shows_and_has_no_more_of_it_anywhere,
    ),
    "what no mask shows any more stays": (
        (Masker, "_unit", lambda self, record: None if ids.is_masked(record) else UNIT(self, record)),
        test_a_policy_that_masks_more_derives_what_is_there_and_one_that_masks_less_empties_it,
    ),
    "a policy that masks more counts for what is written from now on": (
        (Masker, "_scanned", lambda self: self.done(Page((), self._progress._replace(through=None)))),
        test_a_policy_that_masks_more_derives_what_is_there_and_one_that_masks_less_empties_it,
    ),
    "all is read anew at each start": (
        (Masker, "meta", lambda *_: {}),
        test_deriving_goes_on_where_it_stood_and_keeps_up_after_a_restart,
    ),
    "a device takes from others what a mask shows": (
        (Sight, "holds", lambda self, record, forms: HOLDS(replace(self, masks=True), record, forms)),
        lambda: test_a_device_believes_a_relay_alone_what_a_mask_shows_and_gives_it_to_nobody("device"),
    ),
    "what a mask shows is owed to others": (
        (intake, "owed", lambda context, record, head, but: [(b"", OutboxEntry(record, b"", 0))]),
        lambda: test_a_device_believes_a_relay_alone_what_a_mask_shows_and_gives_it_to_nobody("session"),
    ),
    "somebody else writes what a mask shows": (
        (permitted._Judge, "holds", lambda _: None),
        _said_by("dan"),
    ),
    "what a mask shows is a value to look for": (
        (RecordView, "join_masked", _join_as_value),
        test_what_is_seen_in_part_is_edited_by_nobody_and_found_by_no_value,
    ),
}


@pytest.mark.parametrize("bug", PLANTED)
def test_a_planted_bug_is_noticed(bug: str, monkeypatch: pytest.MonkeyPatch) -> None:
    planted, noticed = PLANTED[bug]
    monkeypatch.setattr(*planted)
    with pytest.raises((AssertionError, KeyError, ValueError)):
        noticed()
