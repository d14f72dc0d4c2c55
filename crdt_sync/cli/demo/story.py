"""The acts of the demo. Whatever happens in them, every process that was started is ended."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from crdt_sync.cli.demo.device_process import Answer, DeviceProcess
from crdt_sync.cli.demo.edits import PHONES, Customers, Record, choose, edit_offline, problems
from crdt_sync.cli.demo.failures import DemoFailed
from crdt_sync.cli.demo.people import People
from crdt_sync.cli.demo.relay_process import RelayProcess
from crdt_sync.cli.demo.stage import Stage

NAMES = ("Anna", "Bernd", "邓丽")
_ROWS_BEFORE_KILL = 80
_ATTEMPTS = 5  # to hit a sync in its middle: on a fast machine it may be over before the signal arrives


def play(folder: Path, stage: Stage) -> dict[str, object]:
    """Play it all; returns what programs are told. Raises `DemoFailed`."""
    with _cast(folder) as (relay, devices):
        told = _Play(stage, relay, devices).all_acts()
    with _second_relay(folder / "people") as relay:
        People(folder / "people", stage, relay).play()
    stage.act("Done")
    stage.tell(f"{len(stage.checks)} statements checked in {stage.seconds:.1f} seconds.", "bold")
    stage.tell("Your own: crdt-relay serve; crdt-sync init NAME --relay ws://127.0.0.1:8765")
    return {"converged": True, **told, "seconds": round(stage.seconds, 1), "checks": stage.checks}


@contextmanager
def _second_relay(folder: Path) -> Iterator[RelayProcess]:
    folder.mkdir()
    relay = RelayProcess(folder)
    try:
        relay.wait_ready()
        yield relay
    finally:
        relay.stop()


@contextmanager
def _cast(folder: Path) -> Iterator[tuple[RelayProcess, list[DeviceProcess]]]:
    with ExitStack() as stack:
        relay = RelayProcess(folder)
        stack.callback(relay.stop)
        devices = []
        for name in NAMES:
            device = DeviceProcess(folder, name)
            stack.callback(device.stop)
            devices.append(device)
        yield relay, devices


class _Play:
    def __init__(self, stage: Stage, relay: RelayProcess, devices: list[DeviceProcess]) -> None:
        self._stage = stage
        self._relay = relay
        self._devices = devices
        self._anna, self._bernd, self._li = devices
        self._records = 0
        self._calls = 0  # that were counted on any device so far
        self._untouched = ""  # the record that is deleted and must stay so: an edit would bring it back

    def all_acts(self) -> dict[str, object]:
        self._start()
        self._import()
        self._first_sync()
        chosen = self._offline()
        self._back_with_losses()
        seen = self._look(chosen)
        self._resolve(chosen)
        root = self._receipts()
        return {"records": len(seen), "root": root}

    # --- acts ------------------------------------------------------------------------------------------------

    def _start(self) -> None:
        self._stage.act("A relay and three devices, each a process with a store of its own")
        self._relay.wait_ready()
        for device in self._devices:
            device.wait_ready()
        self._stage.tell(f"relay at {self._relay.address.url}, process {self._relay.pid}")
        self._stage.tell(", ".join(f"{device.name}: process {device.pid}" for device in self._devices))

    def _import(self) -> None:
        self._stage.act("Anna imports a table of companies, and her laptop loses power")
        self._anna.begin("import")
        reached = self._anna.kill_when(lambda progress: progress["rows"] >= _ROWS_BEFORE_KILL)
        rows = reached["rows"] if reached else 0
        self._stage.kill(f"Anna's laptop, after row {rows} of the import")
        there = self._anna.restart()
        self._stage.check(rows <= there, f"{there} imported records are safe on disk", f"{there} of {rows}")
        report = self._anna.ask("import")
        self._records = report["rows"]
        self._stage.check(there < self._records, "the import was really interrupted", f"{there} of {self._records}")
        done = report["created"] + report["unchanged"] == self._records and report["failures"] == 0
        self._stage.check(
            done and report["unchanged"] == there,
            f"the same import again adds the other {report['created']}, none twice",
            report,
        )

    def _first_sync(self) -> None:
        self._stage.act("All three sync through the relay")
        self._sync(self._anna)
        self._sync(self._bernd, self._li)
        counts = [len(records) for records in self._all_records()]
        self._stage.check(counts == [self._records] * 3, f"each device holds all {self._records} customers", counts)

    def _offline(self) -> Customers:
        self._stage.act("Offline: all three edit the same customers at the same time")
        chosen = choose(self._anna.ask("records")["records"])
        edit_offline(self._anna, self._bernd, self._li, chosen)
        self._untouched = chosen.gone["record"]
        first, second = PHONES
        tag = chosen.fields["fields"]["tags"][0]
        self._stage.tell(f"{_name(chosen.phone)}: Anna sets the phone to {first}, Bernd to {second}")
        self._stage.tell(f"{_name(chosen.phone)}: visits +1 by Anna, +2 by Bernd, +3 by 邓丽")
        self._stage.tell(f"{_name(chosen.fields)}: Anna changes the city, 邓丽 the owner")
        self._stage.tell(f"{_name(chosen.fields)}: tags vip by Anna, 重要 by Bernd, without {tag!r} by 邓丽")
        self._stage.tell(f"{_name(chosen.notes)}: Anna writes at the start of the notes, 邓丽 at their end")
        self._stage.tell(f"{_name(chosen.contested)}: Bernd deletes it, 邓丽 edits it")
        self._stage.tell(f"{_name(chosen.gone)}: Anna deletes it")
        for device in (self._anna, self._bernd):
            self._count_calls(device)
        self._stage.tell(f"Anna and Bernd count a call with every other customer: {self._calls} calls")
        return chosen

    def _back_with_losses(self) -> None:
        self._stage.act("Back online, and Bernd's phone and the relay die in the middle")
        self._kill_device_in_sync(self._bernd)
        self._kill_relay_in_sync(self._anna)
        self._bernd.restart()
        self._relay.restart()
        self._stage.tell("both are started again, on what their disks hold")
        self._sync(*self._devices)
        self._sync(*self._devices)

    def _look(self, chosen: Customers) -> dict[str, Record]:
        self._stage.act("What each device sees")
        seen = [{record["record"]: record for record in records} for records in self._all_records()]
        self._stage.side_by_side(NAMES, [_row(*place, seen) for place in _places(chosen)])
        for device, records in zip(self._devices, seen, strict=True):
            wrong = problems(records, chosen, self._calls)
            self._stage.check(not wrong, f"{device.name}: no edit is lost, nothing is counted twice", "; ".join(wrong))
        self._stage.check(seen[0] == seen[1] == seen[2], "all three show the same, down to the last field")
        return seen[0]

    def _resolve(self, chosen: Customers) -> None:
        self._stage.act("The conflicts: both values are kept until somebody decides")
        found = [device.ask("conflicts")["conflicts"] for device in self._devices]
        names = {record["record"]: _name(record) for record in chosen.all}
        self._stage.conflicts(list(_conflict_rows(found[0], names)))
        fields = sorted(conflict["field"] for conflict in found[0])
        self._stage.check(fields == ["_deleted", "phone"], "one phone and one delete are open", fields)
        self._stage.check(found[0] == found[1] == found[2], "all three list the same, with who and when")
        values = {entry["value"] for conflict in found[0] for entry in conflict["entries"]}
        self._stage.check(values >= set(PHONES), "both phone numbers are there", values)
        self._li.ask("resolve", record=chosen.phone["record"], field="phone", value=PHONES[0])
        self._li.ask("resolve", record=chosen.contested["record"], field="_deleted", value=False)
        self._stage.tell(f"邓丽 decides: {PHONES[0]} it is, and the customer stays")
        self._sync(self._li)
        self._sync(self._anna, self._bernd)
        left = [device.ask("conflicts")["conflicts"] for device in self._devices]
        self._stage.check(left == [[], [], []], "no conflict is open on any device", left)

    def _receipts(self) -> str:
        self._stage.act("The receipts")
        address = self._relay.address
        answers = [device.ask("receipt", url=address.url, token=address.token) for device in self._devices]
        sides = [(device.name, *answer["here"]) for device, answer in zip(self._devices, answers, strict=True)]
        sides.append(("relay", *answers[-1]["relay"]))
        self._stage.receipts([(name, str(count), root) for name, count, root in sides])
        equal = {(count, root) for _, count, root in sides} | {tuple(answer["relay"]) for answer in answers}
        self._stage.check(len(equal) == 1, "three devices and the relay hold the same data", equal)
        return str(sides[0][2])

    # --- what happens in them --------------------------------------------------------------------------------

    def _sync(self, *devices: DeviceProcess) -> None:
        for device in devices:
            device.begin_sync(self._relay.address)
        done = [(device.name, device.finish()) for device in devices]
        for name, progress in done:
            self._stage.tell(f"{name} syncs: {progress['pushed']} sent, {progress['received']} received")
            self._stage.check_quietly(progress["refused"] == 0, f"nothing of {name} is refused", progress)

    def _kill_device_in_sync(self, device: DeviceProcess) -> None:
        for _ in range(_ATTEMPTS):
            device.begin_sync(self._relay.address)
            if device.kill_when(_sending) is not None:
                self._stage.kill(f"{device.name}'s phone, while it sends its edits")
                return
            device.restart()
            self._count_calls(device)
        raise DemoFailed(f"{device.name}'s sync was over each time before the signal arrived", "Run the demo again.")

    def _kill_relay_in_sync(self, device: DeviceProcess) -> None:
        for _ in range(_ATTEMPTS):
            device.begin_sync(self._relay.address)
            if device.progress_until(_sending):
                self._relay.kill()
                outcome = device.outcome()
                if "error" in outcome:
                    self._stage.kill(f"the relay, while {device.name} sends")
                    self._stage.tell(f"{device.name} is told: {outcome['error']['message']}", "dim")
                    return
                self._relay.restart()
            self._count_calls(device)
        raise DemoFailed("each sync was over before the relay was killed", "Run the demo again.")

    def _count_calls(self, device: DeviceProcess) -> None:
        self._calls += device.ask("count_calls", without=self._untouched)["records"]

    def _all_records(self) -> list[list[Record]]:
        for device in self._devices:
            device.begin("records")
        return [device.finish()["records"] for device in self._devices]


def _sending(progress: Answer) -> bool:
    return bool(progress["sending"]) and progress["pushed"] == 0


def _name(record: Record) -> str:
    return str(record["fields"].get("company") or record["fields"]["name"])


def _places(chosen: Customers) -> list[tuple[Record, str]]:
    return [
        (chosen.phone, "phone"),
        (chosen.phone, "visits"),
        (chosen.fields, "city"),
        (chosen.fields, "owner"),
        (chosen.fields, "tags"),
        (chosen.notes, "notes"),
        (chosen.contested, "email"),
        (chosen.gone, "deleted"),
    ]


def _row(customer: Record, field: str, seen: list[dict[str, Record]]) -> tuple[str, dict[str, str]]:
    values = {}
    for name, records in zip(NAMES, seen, strict=True):
        record = records[customer["record"]]
        value = record["fields"].get(field)
        if field == "deleted":
            value = "deleted" if record["deleted"] else "there"
        text = ", ".join(value) if isinstance(value, list) else str(value)
        values[name] = f"{text} ≠" if field in record["conflicts"] else text
    return f"{_name(customer)}: {field}", values


def _conflict_rows(
    found: list[dict[str, object]], names: dict[str, str]
) -> Iterator[tuple[str, str, str, str, str, bool]]:
    for conflict in found:
        entries = conflict["entries"]
        assert isinstance(entries, list)
        for number, entry in enumerate(entries):
            who = names.get(str(conflict["record"]), str(conflict["record"])) if number == 0 else ""
            what = str(conflict["field"]) if number == 0 else ""
            value = "deleted, but edited elsewhere" if conflict["kind"] == "deleted" else str(entry["value"])
            yield who, what, value, entry["by"], entry["at"][11:23], entry["shown"]
