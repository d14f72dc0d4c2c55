"""Who is told what others have open: the newest state, once a round, however often it changes."""

from crdt_sync.limits import PRESENCE_ENTRIES_MAX
from crdt_sync.protocol.hub.presence import OpenRecords
from crdt_sync.protocol.messages import PresenceEntry

ANNA, BEN, CEM = 1, 2, 3


def entry(name: str) -> PresenceEntry:
    return PresenceEntry(f"customers/{name}", name)


def entries(prefix: str, count: int) -> tuple[PresenceEntry, ...]:
    return tuple(entry(f"{prefix}{number:03}") for number in range(count))


def following(*sessions: int) -> OpenRecords:
    records = OpenRecords()
    for session in sessions:
        records.follow(session)
    return records


def told(records: OpenRecords) -> dict[int, tuple[PresenceEntry, ...]]:
    """What each hears in the next round, if anything."""
    heard = {session: records.tell(session) for session in records.begin_round() if records.is_due(session)}
    return {session: said for session, said in heard.items() if said is not None}


def test_each_is_told_what_the_others_have_open_and_nothing_again() -> None:
    records = following(ANNA, BEN, CEM)
    assert not records.changed
    records.opened(ANNA, (entry("a"),))
    records.opened(BEN, (entry("b"),))
    assert records.changed
    assert told(records) == {ANNA: (entry("b"),), BEN: (entry("a"),), CEM: (entry("a"), entry("b"))}
    assert not records.changed
    assert told(records) == {}
    records.left(BEN)
    assert told(records) == {ANNA: (), CEM: (entry("a"),)}


def test_what_two_have_open_each_hears_of_the_other() -> None:
    records = following(ANNA, BEN)
    records.opened(ANNA, (entry("a"),))
    records.opened(BEN, (entry("a"),))
    assert told(records) == {ANNA: (entry("a"),), BEN: (entry("a"),)}


def test_who_comes_later_is_told_in_the_next_round_if_there_is_anything() -> None:
    records = following(ANNA)
    records.follow(BEN)
    assert not records.changed
    records.opened(ANNA, (entry("a"),))
    told(records)
    records.follow(CEM)
    assert not records.is_due(CEM)
    assert records.changed
    assert told(records) == {CEM: (entry("a"),)}


def test_whatever_is_said_within_a_round_nobody_is_to_be_told_before_the_next() -> None:
    records = following(*range(100))
    records.opened(ANNA, (entry("a"),))
    told(records)
    for number in range(50):
        records.opened(ANNA, (entry(str(number)),))
        assert not any(records.is_due(session) for session in range(100))
    assert set(told(records).values()) == {(entry("49"),)}


def test_what_is_told_is_bounded_and_most_share_it() -> None:
    records = following(ANNA, BEN, CEM)
    records.opened(ANNA, entries("a", PRESENCE_ENTRIES_MAX))
    records.opened(4, entries("b", PRESENCE_ENTRIES_MAX))
    heard = told(records)
    assert heard[ANNA] == entries("b", PRESENCE_ENTRIES_MAX)
    assert heard[BEN] == entries("a", PRESENCE_ENTRIES_MAX)
    assert heard[BEN] is heard[CEM]
