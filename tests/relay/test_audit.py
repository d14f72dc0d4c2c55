"""The audit log of a relay, from what devices and operators do to what an auditor sees."""

import asyncio
import hashlib
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import lmdb
import pytest

from crdt_relay import auditing, maintenance, people_requests
from crdt_relay.auditing import bound, operator
from crdt_relay.settings import load
from crdt_sync import apply_bundle, create_bundle
from crdt_sync.audit_log.asking import Asked
from crdt_sync.audit_log.entry import Act, Entry, encode
from crdt_sync.audit_log.verifying import Verification
from crdt_sync.errors import IdentityRefused
from crdt_sync.exchange.exporter import export_table
from crdt_sync.identity.keys import KeyPair
from crdt_sync.key_files import make_key
from crdt_sync.protocol.messages import Bye, VerdictCode
from crdt_sync.replica import reports
from crdt_sync.storage.lmdb import LmdbStore
from crdt_sync.storage.values import Batch
from tests.relay.people import POLICY, device, invited, join, sync, with_people

from .devices import Device, eventually, running, update
from .test_cli import Run, run, served, store

pytestmark = pytest.mark.usefixtures("local_workers")

__all__ = ["run"]  # the fixture
TOKEN = "a-token-of-this-test"


def told(data: Path | LmdbStore, **asked: Any) -> list[dict[str, Any]]:
    """What is in the log, the oldest first. A store that is open in this process cannot be opened again."""
    ask = Asked(**asked)
    answer = auditing.search(data, ask, 1000) if isinstance(data, Path) else auditing.found(data, ask, 1000)
    found: list[dict[str, Any]] = answer["entries"]
    return found[::-1]


async def busy(data: Path) -> None:
    """A day in the life of a relay: a change, a refusal, a wrong token, a backup."""
    async with running(data, audit=True, token=TOKEN, quota_session_records=1) as relay:
        async with await Device.join(relay.url, token=TOKEN) as device:
            verdicts = await device.store(("customers/a", update("secret 1")), ("customers/b", update("secret 2")))
            assert verdicts == [VerdictCode.ACCEPTED, VerdictCode.QUOTA]
        async with await Device.open(relay.url) as stranger:
            await stranger.hello(token="a wrong one, quite wrong")
            assert (await stranger.expect(Bye)).code == "unauthorized"
        await asyncio.to_thread(maintenance.backup, data, data.with_name("backup"))


@pytest.fixture
def data(tmp_path: Path) -> Path:
    asyncio.run(busy(tmp_path / "data"))
    return tmp_path / "data"


def edited(data: Path, number: int, change: Callable[[bytes], bytes] | None) -> None:
    """Somebody with the right to write to the disk changes an entry, or removes it."""
    environment = lmdb.open(str(data), max_dbs=32)
    table = environment.open_db(b"audit", create=False)
    with environment.begin(write=True) as transaction:
        key = number.to_bytes(8, "big")
        value = transaction.pop(key, db=table)
        assert value is not None
        if change is not None:
            transaction.put(key, change(bytes(value)), db=table)
    environment.close()


def test_everything_is_told_and_no_value(data: Path) -> None:
    entries = told(data)
    acts = [(entry["act"], entry["record"], entry["verdict"], entry["about"].split(" ")[0]) for entry in entries]
    assert acts[0] == ("administration", "", "", "start")
    assert ("login", "", "", "") in acts
    assert ("change", "customers/a", "accepted", "") in acts
    assert ("change", "customers/b", "quota", "") in acts
    assert ("failed login", "", "", "unauthorized") in acts
    assert ("administration", "", "", "backup") in acts
    assert len(acts) == 6
    (backup,) = [entry for entry in entries if entry["about"].startswith("backup")]
    assert backup["user"].startswith("operator ")
    assert "secret" not in json.dumps(entries)
    assert TOKEN not in json.dumps(entries)
    assert told(data.with_name("backup")) == [entry for entry in entries if entry["entry"] <= backup["entry"]]


def test_an_acknowledged_change_is_in_the_log_with_its_commit(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with running(tmp_path, audit=True) as relay, await Device.join(relay.url) as device:
            for number in range(3):
                await device.store((f"customers/{number}", update(number)))
                found = told(relay.store, act=Act.CHANGE)
                assert [entry["record"] for entry in found] == [f"customers/{each}" for each in range(number + 1)]

    asyncio.run(scenario())


def test_nothing_is_written_unless_it_is_asked_for(run: Run, tmp_path: Path) -> None:
    async def scenario() -> None:
        async with running(tmp_path) as relay, await Device.join(relay.url) as device:
            await device.store(("customers/a", update(1)))

    asyncio.run(scenario())
    assert told(tmp_path) == []
    code, _, err = run("audit", "checkpoint", "--data", tmp_path, "--key-file", tmp_path / "none")
    assert code != 0
    assert "key" in err
    make_key(tmp_path / "key")
    code, _, err = run("audit", "checkpoint", "--data", tmp_path, "--key-file", tmp_path / "key")
    assert code == 2
    assert "audit = true" in err


def test_it_is_kept_where_there_are_users_unless_it_is_turned_off(tmp_path: Path) -> None:
    async def story() -> None:
        async with with_people(tmp_path) as relay:
            assert relay.engine.recorder is None  # nobody asked it to: this test applies behind its back
        async with running(tmp_path) as relay:
            assert relay.engine.recorder is not None
        async with running(tmp_path, audit=False) as relay:
            assert relay.engine.recorder is None

    asyncio.run(story())
    assert [each["about"].split()[0] for each in told(tmp_path)] == ["start", "start"]


def test_turning_it_off_leaves_a_line(data: Path) -> None:
    async def scenario() -> None:
        async with running(data):
            pass

    asyncio.run(scenario())
    assert told(data)[-1]["about"] == "start audit=off"


@pytest.mark.parametrize(
    ("arguments", "found"),
    [
        ((), 6),
        (("--refused",), 2),
        (("--record", "customers/a"), 1),
        (("--record", "customers/"), 2),
        (("--act", "login"), 1),
        (("--who", "nobody"), 0),
        (("--when", "1d"), 6),
        (("--when", "..2020-01-01"), 0),
        (("--when", "2020-01-01..2020-12-31T10:30"), 0),
        (("--when", "2020-01-01.."), 6),
        (("--limit", "4"), 4),
        (("--before", "3"), 2),
        (("--field", "name"), 0),
    ],
)
def test_it_can_be_asked(run: Run, data: Path, arguments: tuple[str, ...], found: int) -> None:
    code, out, err = run("audit", "--data", data, "--json", *arguments)
    assert code == 0, err
    lines = [json.loads(line) for line in out.splitlines()]
    assert len(lines) == found
    assert [line["entry"] for line in lines] == sorted((line["entry"] for line in lines), reverse=True)


def test_people_see_a_table(run: Run, data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    code, out, err = run("audit", "--data", data)
    assert code == 0
    assert "--before" not in err
    assert "--before 5" in run("audit", "--data", data, "--limit", 2)[2]
    for word in ("customers/a", "quota", "failed login", "backup", "operator"):
        assert word in out


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        (("--when", "yesterday"), "is no time"),
        (("--when", "2026-13-01"), "is no time"),
        (("--device", "xyz"), "hexadecimal"),
        (("verify", "--against", "nowhere"), "cannot be read"),
        (("checkpoint",), "--key-file"),
    ],
)
def test_a_wrong_call_names_the_next_step(run: Run, data: Path, arguments: tuple[str, ...], why: str) -> None:
    code, _, err = run("audit", *arguments, *(() if arguments[0] == "checkpoint" else ("--data", data)))
    assert code == 2
    assert why in err


def test_it_is_read_while_the_relay_runs(run: Run, data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CRDT_RELAY_AUDIT", "true")
    with served(data, "--no-metrics") as ready:
        store(ready["url"], ("customers/c", update(3)))
        assert [entry["verdict"] for entry in told(data, record="customers/c")] == ["accepted"]
        assert run("audit", "verify", "--data", data)[0] == 0
        assert run("compact", "--data", data)[0] == 0
        assert told(data)[-1]["user"].startswith("operator ")


def test_a_checkpoint_shows_that_the_end_was_cut(run: Run, data: Path, tmp_path: Path) -> None:
    make_key(tmp_path / "key")
    key = ("--key-file", tmp_path / "key")
    assert run("audit", "checkpoint", tmp_path / "kept", "--data", data, *key)[0] == 0
    assert run("audit", "checkpoint", tmp_path / "kept", "--data", data, *key)[0] == 2, "no file is replaced"
    against = ("--against", tmp_path / "kept", *key)
    code, out, _ = run("audit", "verify", "--data", data, *against)
    assert code == 0
    assert "each is linked" in out
    last = told(data)[-1]["entry"]
    edited(data, last, None)
    assert run("audit", "verify", "--data", data)[0] == 0, "nothing in the log itself shows that"
    code, out, _err = run("audit", "verify", "--data", data, *against, "--json")
    assert code == 6
    assert json.loads(out)["flaws"][0]["entry"] == last - 1


def test_a_changed_entry_is_named_by_both_verifications_and_set_aside_by_a_repair(run: Run, data: Path) -> None:
    edited(data, 3, lambda value: value[:70] + bytes([value[70] ^ 1]) + value[71:])
    code, out, _ = run("audit", "verify", "--data", data, "--json")
    assert code == 6
    assert [flaw["entry"] for flaw in json.loads(out)["flaws"]] == [3]
    report = maintenance.verify(data)
    assert [finding["place"] for finding in report["findings"]] == ["audit 3"]
    assert any(entry.get("damaged") for entry in told(data))
    maintenance.repair(data)
    assert maintenance.verify(data)["findings"] == []
    code, out, _ = run("audit", "verify", "--data", data, "--json")
    assert code == 6, "the repair hides nothing"
    assert [flaw["problem"] for flaw in json.loads(out)["flaws"]] == ["entries 3 to 3 before it are missing"]
    assert told(data)[-1]["about"] == "repair"


def test_what_is_exported_can_be_verified_without_this_program(run: Run, data: Path, tmp_path: Path) -> None:
    code, _, _ = run("audit", "export", tmp_path / "out.jsonl", "--data", data)
    assert code == 0
    link = bytes(32)
    for number, line in enumerate((tmp_path / "out.jsonl").read_text().splitlines(), 1):
        row = json.loads(line)
        raw = number.to_bytes(8, "big") + link + bytes.fromhex(row["bytes"])
        link = hashlib.blake2b(raw, digest_size=32, person=b"crdt-sync audit").digest()
        assert (row["entry"], row["seal"]) == (number, link.hex())
    assert number == 6
    assert run("audit", "export", tmp_path / "out.jsonl", "--data", data)[0] == 2


def test_operators_work_on_a_stopped_relay_is_told_and_compaction_keeps_the_log(data: Path, tmp_path: Path) -> None:
    before = told(data)
    maintenance.compact(data)
    maintenance.backup(data, tmp_path / "second")
    assert [entry["about"].split(" ")[0] for entry in told(data)[len(before) :]] == ["compact", "backup"]
    assert told(data)[: len(before)] == before
    maintenance.restore(tmp_path / "second", data, replace=True)
    assert told(data)[-1]["about"].startswith("restore source=")
    assert auditing.verify(data, None, None)["flaws"] == []


# --- bounds --------------------------------------------------------------------------------------------------


DAY = 86_400_000_000
KEY = KeyPair(b"k" * 32)


@pytest.fixture
def long(tmp_path: Path) -> Path:
    """A log of ten days, an entry a day."""
    with LmdbStore.open(tmp_path / "long", create=True) as store:
        store.commit([Batch(audit=tuple(encode(Entry(day * DAY, Act.LOGIN)) for day in range(1, 11)))])
    return tmp_path / "long"


@pytest.mark.parametrize(("days", "left"), [(None, 10), (30, 10), (3, 4), (0, 1)])
def test_what_is_older_than_the_operator_wants_is_cut_with_a_note(long: Path, days: int | None, left: int) -> None:
    with LmdbStore.open(long) as store:
        dropped = bound(store, lambda batch: store.commit([batch]), days, None, KEY, 10 * DAY)
    assert dropped == 10 - left
    entries = told(long)
    assert len(entries) == left + bool(dropped)
    report = auditing.verify(long, None, KEY.public)
    assert report["flaws"] == []
    if dropped:
        assert entries[-1]["act"] == "cut"
        assert entries[-1]["times"] == dropped
        assert (report["cut"]["to"], report["cut"]["signed_by"]) == (dropped, KEY.public.kid.hex())


def test_what_is_beyond_so_many_bytes_is_cut(long: Path) -> None:
    with LmdbStore.open(long) as store:
        size = store.audit_bytes()
        assert bound(store, lambda batch: store.commit([batch]), None, size, None, 10 * DAY) == 0
        assert bound(store, lambda batch: store.commit([batch]), None, size // 2, None, 10 * DAY) == 4
    assert auditing.verify(long, None, None)["flaws"] == []
    assert len(auditing.verify(long, None, KEY.public)["flaws"]) == 1, "nobody signed the note"


def test_a_note_without_its_cut_is_mended_by_the_next(long: Path) -> None:
    with LmdbStore.open(long) as store:
        kept = store.drop_audit
        store.drop_audit = lambda before: 0  # type: ignore[method-assign]  # it is killed here
        bound(store, lambda batch: store.commit([batch]), 3, None, None, 10 * DAY)
        assert flaws_of(store) == 0
        store.drop_audit = kept  # type: ignore[method-assign]
        assert bound(store, lambda batch: store.commit([batch]), 3, None, None, 10 * DAY) == 6
    assert auditing.verify(long, None, None)["flaws"] == []


def flaws_of(store: LmdbStore) -> int:
    """Of a store that is open here."""
    verification = Verification()
    for number, value in store.audit_after(0, 1000):
        verification.take(number, value)
    return len(verification.finish(store.space.id))


def test_a_running_relay_keeps_its_log_within_bounds(long: Path) -> None:
    async def scenario() -> None:
        async with running(long, audit=True, audit_days=1) as relay:
            await eventually("a cut", lambda: told(relay.store)[0]["entry"] > 1)
            assert [entry["act"] for entry in told(relay.store)] == ["administration", "cut"]

    asyncio.run(scenario())


def test_who_wrote_it_who_brought_it_and_which_fields_are_told(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Anna's edit reaches the relay on Ben's phone, with one of his own."""
    monkeypatch.setenv("COLUMNS", "200")  # a narrow table breaks its lines

    async def story() -> None:
        policy = POLICY.replace('"resolve"', '"resolve", "bundle"')
        async with with_people(tmp_path / "data", policy, audit=True) as relay:
            with device(tmp_path / "anna", "anna-phone") as anna, device(tmp_path / "ben", "ben-phone") as ben:
                await join(anna, invited(relay, "anna"))
                await join(ben, invited(relay, "ben"))
                await sync(anna, relay.url)
                await sync(ben, relay.url)
                with anna.edit("customers") as customer:
                    customer["name"] = "Ann"
                create_bundle(anna, tmp_path / "a.bundle", to="user:ben")
                apply_bundle(ben, tmp_path / "a.bundle")
                with ben.edit(customer.record) as again:
                    again["phone"] = "1"
                await sync(ben, relay.url)

    asyncio.run(story())
    changes = told(tmp_path / "data", act=Act.CHANGE, record="customers/")
    assert [(each["user"], each["brought_by"], each["fields"], each["policy"]) for each in changes] == [
        ("anna", "ben", ["name", "phone"], 1),
    ]
    devices = {each["user"]: each["device"] for each in told(tmp_path / "data", act=Act.LOGIN)}
    assert changes[0]["device"] == devices["ben"]
    asked = ("audit", "--data", tmp_path / "data", "--who", "ben", "--field")
    assert "anna, brought by ben" in run(*asked, "phone")[1]
    assert "Nothing that was asked for" in run(*asked, "iban")[2]


@pytest.mark.parametrize("audit", [True, False])
def test_exports_and_bundles_of_devices_are_told_with_their_next_sync(tmp_path: Path, audit: bool) -> None:
    """Nobody else sees them. Where there is no log, devices keep nothing for it."""

    async def story() -> None:
        policy = POLICY.replace('"resolve"', '"resolve", "bundle"')
        async with with_people(tmp_path / "data", policy, audit=audit) as relay:
            with device(tmp_path / "anna", "anna-phone") as anna:
                await join(anna, invited(relay, "anna"))
                await sync(anna, relay.url)
                for name in ("Ann", "Bert"):
                    with anna.edit("customers") as customer:
                        customer["name"] = name
                export_table(anna, "customers", tmp_path / "all.csv")
                create_bundle(anna, tmp_path / "a.bundle", to="user:anna")
                assert len(reports.waiting(anna.context)) == 2
                await sync(anna, relay.url)
                assert reports.waiting(anna.context) == []
                await sync(anna, relay.url)

    asyncio.run(story())
    found = told(tmp_path / "data", act=Act.EXPORT)
    assert [(each["user"], each["about"].partition(" at=")[0]) for each in found] == [
        ("anna", "export customers records=2"),
        ("anna", "bundle user:anna records=2"),
    ] * audit
    assert {each["device"] for each in found} <= {each["device"] for each in told(tmp_path / "data", act=Act.LOGIN)}


def test_enrolments_wipes_and_what_operators_decide_are_told(tmp_path: Path) -> None:
    """All in a relay that had no users when it was started."""

    async def story() -> None:
        async with running(tmp_path / "data") as relay:
            settings = load({"data": tmp_path / "data"})

            async def done(act: str, **arguments: Any) -> Mapping[str, Any]:
                return await asyncio.to_thread(people_requests.done, settings, act, **arguments)

            await done("apply", text=POLICY, source="policy.toml")
            invite = await done("invite", user="anna", address=relay.url, certificate="")
            with device(tmp_path / "anna", "anna-phone") as anna:
                await join(anna, str(invite["link"]))
                await done("revoke", device="anna-phone", wipe=True)
                with pytest.raises(IdentityRefused):
                    await sync(anna, relay.url)
            await eventually("the line of the wipe", lambda: told(relay.store, act=Act.WIPE))

    asyncio.run(story())
    entries = told(tmp_path / "data")
    by = operator()
    assert [(each["act"], each["user"]) for each in entries] == [
        ("administration", by),
        ("administration", by),
        ("enrolment", "anna"),
        ("login", "anna"),
        ("administration", by),
        ("failed login", ""),
        ("wipe", "anna"),
        ("failed login", ""),
    ]
    said = [each["about"] for each in entries]
    assert said[0] == "policy apply source=policy.toml"
    assert said[1] == "invite user=anna"
    assert said[2].startswith("by the invite ")
    assert said[4] == "device revoke device=anna-phone wipe=True"
    assert "#" not in "".join(said), "no link"


def test_what_operators_decide_is_told_where_no_relay_runs(tmp_path: Path) -> None:
    settings = load({"data": tmp_path})
    people_requests.done(settings, "apply", makes=True, text=POLICY, source="policy.toml")
    people_requests.done(settings, "devices")
    people_requests.done(settings, "user", user="anna", disabled=True)
    said = [each["about"] for each in told(tmp_path)]
    assert said == ["policy apply source=policy.toml", "user user=anna disabled=True"]


def test_nothing_that_operators_decide_is_told_where_it_is_off(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CRDT_RELAY_AUDIT", "false")
    people_requests.done(load({"data": tmp_path}), "apply", makes=True, text=POLICY, source="policy.toml")
    assert told(tmp_path) == []
