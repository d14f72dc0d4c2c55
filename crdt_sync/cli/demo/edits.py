"""The concurrent edits of the demo: which customers, what each device does offline, and what must come of it."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from crdt_sync.cli.demo.device_process import DeviceProcess
from crdt_sync.cli.demo.failures import DemoFailed

Record = dict[str, Any]

PHONES = ("+49 30 111111", "+49 30 222222")
VISITS = (1, 2, 3)
NOTE_FIRST = "Rings back on Monday. "
NOTE_LAST = "预算已批准"


@dataclass(frozen=True, slots=True)
class Customers:
    """The records that the devices edit at the same time."""

    phone: Record  # both values of one phone; a counter on all three
    fields: Record  # two different fields; tags
    notes: Record
    contested: Record  # deleted here, edited there
    gone: Record  # deleted, edited by nobody

    @property
    def all(self) -> tuple[Record, ...]:
        """Every one of them."""
        return (self.phone, self.fields, self.notes, self.contested, self.gone)


def choose(records: Iterable[Record]) -> Customers:
    """Pick five customers that have what their edits need. Raises `DemoFailed`."""
    left = list(records)

    def take(what: str, suits: Callable[[dict[str, Any]], object]) -> Record:
        for record in left:
            if suits(record["fields"]):
                left.remove(record)
                return record
        raise DemoFailed(f"no customer {what} in the demo's table")

    return Customers(
        phone=take("with a phone", lambda fields: fields.get("phone") and not fields["name"].isascii()),
        fields=take("with tags", lambda fields: fields.get("tags") and fields.get("city") and fields.get("owner")),
        notes=take("with notes", lambda fields: fields.get("notes") and "\n" not in fields["notes"]),
        contested=take("with a Chinese name", lambda fields: any("一" <= c <= "鿿" for c in fields["name"])),
        gone=take("to delete", lambda _fields: True),
    )


def edit_offline(first: DeviceProcess, second: DeviceProcess, third: DeviceProcess, chosen: Customers) -> None:
    """Everybody edits, nobody knows of the others."""
    devices = (first, second, third)
    for device, phone in zip(devices, PHONES, strict=False):
        device.ask("edit", record=chosen.phone["record"], assignments=[f"phone={phone}"])
    for device, visits in zip(devices, VISITS, strict=True):
        device.ask("edit", record=chosen.phone["record"], assignments=[f"visits+={visits}"])
    tag = chosen.fields["fields"]["tags"][0]
    first.ask("edit", record=chosen.fields["record"], assignments=["city=Łódź", "tags+=vip"])
    second.ask("edit", record=chosen.fields["record"], assignments=["tags+=重要"])
    third.ask("edit", record=chosen.fields["record"], assignments=["owner=邓丽", f"tags-={tag}"])
    first.ask("edit", record=chosen.notes["record"], assignments=[], note_first=NOTE_FIRST)
    third.ask("edit", record=chosen.notes["record"], assignments=[f"notes+={NOTE_LAST}"])
    second.ask("delete", record=chosen.contested["record"])
    third.ask("edit", record=chosen.contested["record"], assignments=["email=neu@example.com"])
    first.ask("delete", record=chosen.gone["record"])


def problems(seen: dict[str, Record], chosen: Customers, calls: int) -> list[str]:
    """What is wrong with the records of one device after the edits have met; nothing, if all went well."""
    phone, fields, notes = (seen[record["record"]] for record in (chosen.phone, chosen.fields, chosen.notes))
    tags = sorted({*chosen.fields["fields"]["tags"][1:], "vip", "重要"})
    expected: list[tuple[str, object, object]] = [
        ("phone", phone["fields"].get("phone") in PHONES, True),
        ("phone is a conflict", phone["conflicts"], ["phone"]),
        ("visits", phone["fields"].get("visits"), sum(VISITS)),
        ("city", fields["fields"].get("city"), "Łódź"),
        ("owner", fields["fields"].get("owner"), "邓丽"),
        ("tags", sorted(fields["fields"].get("tags", [])), tags),
        ("notes", notes["fields"].get("notes"), f"{NOTE_FIRST}{chosen.notes['fields']['notes']}\n{NOTE_LAST}"),
        ("the contested customer lives", seen[chosen.contested["record"]]["deleted"], False),
        ("its delete is a conflict", seen[chosen.contested["record"]]["conflicts"], ["_deleted"]),
        ("the deleted customer", seen[chosen.gone["record"]]["deleted"], True),
        ("calls", _calls(seen), calls),
    ]
    return [f"{what}: {found!r} instead of {wanted!r}" for what, found, wanted in expected if found != wanted]


def _calls(seen: dict[str, Record]) -> int:
    return sum(int(record["fields"].get("calls", 0)) for record in seen.values())
