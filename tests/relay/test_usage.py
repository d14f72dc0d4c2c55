"""What each owner stored today is shown, reset and let go, on a relay that runs and on one that does not."""

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from crdt_relay.cli import main
from crdt_relay.control import ControlFailed, ask
from crdt_relay.settings import Settings
from crdt_relay.usage import asked
from crdt_sync.protocol.messages import VerdictCode
from crdt_sync.protocol.quotas import SPACE, Allowance, Bounds, Owner, Used
from crdt_sync.runtime.hosting.usage import CountedUsage
from crdt_sync.storage.memory import MemoryStore
from crdt_sync.storage.values import Batch
from tests.relay.devices import Device, running, update
from tests.relay.test_settings import clean_surroundings

__all__ = ["clean_surroundings"]

pytestmark = pytest.mark.usefixtures("local_workers")
DAY_US = 86_400_000_000


def bound(data: Path, **quotas: Any) -> Settings:
    return Settings(data=data, **quotas)


def owner_rows(found: dict, kind: str) -> list[tuple[str, int, list[str]]]:
    return [(each["name"], each["records"], each["met"]) for each in found["owners"] if each["of"] == kind]


def test_what_was_stored_is_shown_and_an_owner_is_reset_or_let_go_while_the_relay_runs(tmp_path: Path) -> None:
    async def scenario() -> None:
        quotas: dict[str, Any] = {"quota_device_records": 1, "quota_space_records": 9}
        async with running(tmp_path, **quotas) as relay, await Device.join(relay.url, follow=False) as device:
            settings, name = bound(tmp_path, **quotas), device.replica.hex()
            both = [("customers/a", update(1)), ("customers/b", update(2))]
            assert await device.store(*both) == [VerdictCode.ACCEPTED, VerdictCode.QUOTA]
            found = await asyncio.to_thread(asked, settings, "show")
            assert owner_rows(found, "device") == [(name, 1, ["1 new records"])]
            assert owner_rows(found, "space") == [("", 1, [])]
            done = await asyncio.to_thread(asked, settings, "reset", f"device:{name[:8]}")
            assert (done["of"], done["name"]) == ("device", name)
        async with running(tmp_path, **quotas) as relay, await Device.join(relay.url, follow=False) as device:
            await asyncio.to_thread(asked, settings, "lift", f"device:{device.replica.hex()}")
            entries = [(f"customers/{number}", update(number)) for number in range(3)]
            assert await device.store(*entries) == [VerdictCode.ACCEPTED] * 3
            with pytest.raises(ControlFailed, match="no owner"):
                await asyncio.to_thread(asked, settings, "reset", "anna")
            with pytest.raises(ControlFailed):
                await asyncio.to_thread(ask, tmp_path, "usage", act="steal", owner="space")

    asyncio.run(scenario())


def test_the_same_goes_for_a_relay_that_does_not_run(tmp_path, monkeypatch, capsys, clean_surroundings):
    monkeypatch.chdir(tmp_path)

    async def scenario() -> None:
        async with running(tmp_path / "relay", quota_space_records=1) as relay, await Device.join(relay.url) as device:
            await device.store(("customers/a", update(1)))

    asyncio.run(scenario())
    settings = tmp_path / "relay.toml"
    settings.write_text('data = "relay"\nquota_space_records = 1\n')
    words = ["--config", str(settings)]

    def told(*command: str) -> dict:
        capsys.readouterr()
        assert main(["usage", *command, *words, "--json"]) == 0
        return json.loads(capsys.readouterr().out)

    assert owner_rows(told(), "space") == [("", 1, [])]
    assert told("lift", "space")["of"] == "space"
    (row,) = told()["owners"]
    assert row["lifted"]
    told("reset", "space")
    assert told()["owners"] == []
    assert main(["usage", *words]) == 0
    assert "Nothing was stored today." in capsys.readouterr().out


def test_without_quotas_it_says_that_nothing_is_counted(tmp_path, capsys, clean_surroundings):
    async def scenario() -> None:
        async with running(tmp_path):
            pass

    asyncio.run(scenario())
    assert main(["usage", "--data", str(tmp_path)]) == 0
    assert "nothing is counted" in capsys.readouterr().out
    asked(bound(tmp_path), "lift", "space")
    (row,) = asked(bound(tmp_path, quota_space_records=1), "show")["owners"]
    assert row["lifted"], "it holds for limits that are set later today"


# --- rows in the store ----------------------------------------------------------------------------------------------


class Kept:
    """Counts over a store in memory."""

    def __init__(self) -> None:
        self.store = MemoryStore()
        self.wall = 3 * DAY_US
        self.open()

    def open(self) -> None:
        self.counted = CountedUsage(
            self.store, lambda: 0, lambda: 0, lambda: self.wall, lambda _: False, lambda *_: None
        )
        self.counted.allow(Bounds(space=Allowance(records=5)))

    def commit(self, *, fails: bool = False) -> int:
        """How many rows went with it."""
        rows = self.counted.rows(1)
        if not fails:
            self.store.commit([Batch(meta=rows)])
        self.counted.committed(1, 0, failed=fails)
        return len(rows)


def count(kept: Kept, owner: Owner, records: int) -> None:
    kept.counted.quotas._days.used[owner] = Used(records=records)
    kept.counted.quotas._days.changed.add(owner)


def space_records(kept: Kept) -> int:
    return next((each.records for each in kept.counted.quotas.usage() if each.owner == SPACE), 0)


def test_a_row_is_written_with_the_commit_and_again_where_that_failed() -> None:
    kept = Kept()
    count(kept, SPACE, 3)
    assert kept.commit(fails=True) == 1
    assert kept.commit() == 1
    assert kept.commit() == 0
    kept.open()
    assert space_records(kept) == 3


def test_rows_of_yesterday_are_dropped_and_what_cannot_be_read_begins_anew() -> None:
    kept = Kept()
    count(kept, SPACE, 3)
    kept.commit()
    kept.store.commit([Batch(meta={"quota/00": b"\xff", "quota/01": b""})])
    kept.wall += DAY_US
    kept.open()
    assert space_records(kept) == 0
    assert kept.commit() == 3
    assert kept.store.meta_keys("quota/") == []
