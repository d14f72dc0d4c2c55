"""What devices said to be durable, and whether it is: the checks after each kill and at the end."""

from collections import Counter, defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from crdt_bench.campaign.tally import Tally
from crdt_sync import Replica, bundled_schema
from crdt_sync.records import Document, values_of
from crdt_sync.storage import Store

Tags = defaultdict[str, set[str]]


class Ledger:
    """Tags by record: `edited` on whose disk, and `stored` on the relay's, each with what was not looked at yet."""

    def __init__(self, tally: Tally) -> None:
        self._tally = tally
        self._schema = bundled_schema("customers")
        self._edited: dict[str, Tags] = defaultdict(lambda: defaultdict(set))
        self._new: dict[str, Tags] = defaultdict(lambda: defaultdict(set))
        self._stored: Tags = defaultdict(set)
        self._imported: dict[str, dict[str, int]] = defaultdict(dict)
        self._copies: dict[str, list[Path]] = defaultdict(list)

    def hear(self, said: Sequence[dict[str, Any]]) -> None:
        """Take in what was said."""
        for words in said:
            name = words["name"]
            if "edited" in words:
                record, tag = words["edited"]
                self._edited[name][record].add(tag)
                self._new[name][record].add(tag)
            elif "stored" in words:
                record, tags = words["stored"]
                self._stored[record].update(tags)
            elif "imported" in words:
                city, rows = words["imported"]
                self._imported[name][city] = rows
            elif "copying" in words:
                self._copies[name].append(Path(words["copying"]))
            elif "failed" in words:
                self._tally.found(f"{name} failed: {words['failed']}")

    def copies(self, name: str) -> list[Path]:
        """The copies that the device began since the last time."""
        return self._copies.pop(name, [])

    def check_device(self, replica: Replica) -> None:
        """Its store is sound and holds every edit and import since the last look; no import is there in part."""
        self._sound(replica.store, replica.name)
        new: dict[str, set[str]] = self._new.pop(replica.name, Tags(set))
        self._lacking(replica.name, {record: tags - _tags(replica, record) for record, tags in new.items()})
        imports = self._imported.pop(replica.name, {})
        held = Counter(view.raw.get("city") for view in replica.list("customers"))
        whole = max(imports.values(), default=0)
        for city, rows in imports.items():
            if held[city] != rows:
                self._tally.found(f"{replica.name} holds {held[city]} of {rows} rows that were imported")
        for source, count in held.items():
            if source and str(source).startswith(replica.name) and whole and count != whole:
                self._tally.found(f"{replica.name} holds a part of an import: {count} of {whole} rows")

    def check_relay(self, store: Store) -> None:
        """Its store is sound and holds every edit that it acknowledged."""
        self._sound(store, "the relay")
        lacking: dict[str, set[str]] = {}
        for record, tags in self._stored.items():
            updates = store.load(record).updates
            values: dict[str, Any] = values_of(Document.load(updates), self._schema) if updates else {}
            lacking[record] = tags - set(values.get("tags", ()))
        self._lacking("the relay", lacking)
        self._stored.clear()

    def check_converged(self, devices: Sequence[Replica]) -> None:
        """All hold the same and every edit, and each edit counts once."""
        views = [[(view.record, dict(view.raw)) for view in device.list()] for device in devices]
        if any(other != views[0] for other in views[1:]):
            self._tally.found("the devices hold different records at the end")
        for device in devices:
            self._sound(device.store, device.name)
            for edited in self._edited.values():
                self._lacking(device.name, {record: tags - _tags(device, record) for record, tags in edited.items()})
            status = device.status()
            if status.unreadable or any(partner.pending or partner.refused for partner in status.partners):
                self._tally.found(f"{device.name} is not settled at the end: {status}")
        for record, raw in views[0]:
            if "tags" in raw and raw.get("visits") != len(raw["tags"]):
                self._tally.found(f"{record} counts {raw.get('visits')} visits of {len(raw['tags'])} edits")

    def _sound(self, store: Store, whose: str) -> None:
        findings = store.verify().findings
        if findings:
            self._tally.found(f"the store of {whose} is damaged: {findings[0]}")

    def _lacking(self, whose: str, lacking: dict[str, set[str]]) -> None:
        missing = sum(map(len, lacking.values()))
        if missing:
            self._tally.found(f"{whose} lacks {missing} acknowledged edits")


def _tags(replica: Replica, record: str) -> set[str]:
    if replica.store.record_head(record) is None:
        return set()
    return set(replica.get(record)["tags"])
