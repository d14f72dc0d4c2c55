"""A record at its limit, on devices and at a real relay: what takes away goes through everywhere."""

import pytest

from crdt_sync import Address, Replica, limits, sync
from crdt_sync.errors import RecordTooLarge

LESS = {  # the last three make room
    "a counter": lambda customer: customer.increment("visits"),
    "a member of a set less": lambda customer: customer.remove("tags", "vip"),
    "a shorter value": lambda customer: customer.update({"city": "Bonn"}),
    "no value": lambda customer: customer.update({"company": None}),
    "a decision": lambda customer: customer.resolve("phone", "+49 30 1"),
    "a stage": lambda customer: customer.update({"stage": "lost"}),
    "a shorter text": lambda customer: customer.text("notes").delete(100, 200),
    "letters in many places": lambda customer: [customer.text("notes").delete(9 * n, 9 * n + 1) for n in range(50)],
    "a text rewritten shorter": lambda customer: customer.update({"notes": "new " * 1000}),
    "no text": lambda customer: customer.update({"notes": ""}),
    "deleted": lambda customer: customer.delete(),
}


def fill(replica: Replica, record: str, *, start: int = 65_000) -> None:
    """Append to its timeline until not one more entry fits."""
    for size in (start, 4_000, 100, 1):
        try:
            while True:
                with replica.edit(record) as customer:
                    customer.append("timeline", "x" * size)
        except RecordTooLarge:
            continue


def together(*exchanged: tuple[Replica, Address]) -> None:
    for replica, address in exchanged:
        assert sync(replica, address).refused == 0


@pytest.mark.parametrize("apart", [False, True])
def test_what_takes_away_from_a_full_record_reaches_everybody(pair, monkeypatch, apart):
    """`apart`: two devices filled it, each to the limit, before they met."""
    monkeypatch.setattr(limits, "RECORD_GROWN_BYTES_MAX", 256 * limits.KIB)  # at 1 MiB: `tests/replica`
    ann, bob, address = pair.ann, pair.bob, pair.address
    with ann.edit("customers") as customer:
        customer.update({"name": "Müller", "city": "Berlin", "company": "Müller GmbH", "tags": ["vip", "new"]})
        customer.update({"visits": 3, "notes": "word " * 12_000, "stage": "qualified"})
    record = customer.record
    for replica in (ann, bob):
        together((replica, address))
    for replica, phone in ((ann, "+49 30 2"), (bob, "+49 30 3")):
        with replica.edit(record) as customer:
            customer["phone"] = phone
    fill(ann, record)
    if apart:
        fill(bob, record)
    together((ann, address), (bob, address), (ann, address))
    assert ann.get(record) == bob.get(record)
    assert ann.get(record).conflicts == ("phone",)
    for number, (what, less) in enumerate(LESS.items()):
        if number <= len(LESS) - 3:
            with pytest.raises(RecordTooLarge) as refused, bob.edit(record) as customer:
                customer["company"] = "y" * 3_000
            assert "Shorten its texts or remove something first" in refused.value.hint, what
        with ann.edit(record) as customer:
            less(customer)
        together((ann, address), (bob, address))
        assert (ann.get(record), ann.get(record).deleted) == (bob.get(record), bob.get(record).deleted), what
    assert ann.receipt().root == bob.receipt().root
    assert ann.status().partners[0].pending == 0
    shown = ann.get(record)
    assert (shown["visits"], shown["tags"], shown["city"], shown["phone"]) == (4, ["new"], "Bonn", "+49 30 1")
    assert (shown.get("notes", ""), shown["stage"], shown.conflicts, shown.deleted) == ("", "lost", (), True)
