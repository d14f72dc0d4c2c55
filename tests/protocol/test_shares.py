"""All sessions of one principal have one share of the turns, however many they are."""

from crdt_sync.principal import Principal
from crdt_sync.protocol.hub.lanes import Lane, Sender, Waiting, piece_updates
from crdt_sync.protocol.messages import Hello, PushEntry
from tests.protocol.test_hub import codes
from tests.protocol.test_turns import MUCH, Busy

DEVICE, OTHER = b"d" * 16, b"e" * 16


class Shared(Busy):
    """Sessions of whoever the test says."""

    def come(self, device: bytes, address: str = "192.0.2.1", user: str = "") -> int:
        session = self.hub.connect(0, lambda hello: Principal(hello.replica, user=user), address)
        self.hear(session, Hello((1,), device, "", 1, None, False, 0, "test"))
        return session

    def done_of(self, *sessions: int, batches: int) -> list[int]:
        """How many updates of each session are integrated in so many batches, while the worker has more to do."""
        counts = dict.fromkeys(sessions, 0)
        for _ in range(batches):
            for item in self.integrations[0].items:
                for update in item.updates:
                    if int(update[1:]) in counts:
                        counts[int(update[1:])] += 1
            self.work()
        return list(counts.values())


def test_a_share_is_of_a_user_wherever_or_of_a_device_at_an_address() -> None:
    assert Principal(DEVICE, user="anna").share("192.0.2.1") == Principal(OTHER, user="anna").share("192.0.2.2")
    shares = {
        Principal(DEVICE).share("192.0.2.1"),
        Principal(DEVICE).share("192.0.2.2"),
        Principal(OTHER).share("192.0.2.1"),
        Principal(DEVICE, user="192.0.2.1").share("192.0.2.1"),
    }
    assert len(shares) == 4


def test_fifty_sessions_of_one_device_have_the_share_of_one() -> None:
    bench = Shared()
    many = [bench.come(DEVICE) for _ in range(50)]
    for session in many:
        bench.push(session, 1, *bench.some(MUCH))
    importer = bench.come(OTHER)
    bench.push(importer, 1, *bench.some(MUCH))
    counts = bench.done_of(importer, *many, batches=20)
    assert counts[0] >= 8 * piece_updates()
    assert sum(counts[1:]) >= 8 * piece_updates()


def test_who_takes_the_name_of_a_device_elsewhere_takes_none_of_its_turns() -> None:
    bench = Shared()
    elsewhere = [bench.come(DEVICE, "192.0.2.2") for _ in range(50)]
    for session in elsewhere:
        bench.push(session, 1, *bench.some(MUCH))
    device = bench.come(DEVICE)
    bench.push(device, 1, *bench.some(MUCH))
    assert bench.done_of(device, batches=20)[0] >= 8 * piece_updates()


def test_the_devices_of_an_office_behind_one_address_have_a_share_each() -> None:
    bench = Shared()
    office = [bench.come(bytes([number]) * 16) for number in range(10)]
    for session in office:
        bench.push(session, 1, *bench.some(MUCH))
    counts = bench.done_of(*office, batches=3 * len(office))
    assert max(counts) - min(counts) <= piece_updates()


def test_the_turns_of_a_share_go_round_among_its_sessions() -> None:
    bench = Shared()
    first, second = bench.come(DEVICE, user="anna"), bench.come(OTHER, "192.0.2.2", user="anna")
    bench.push(first, 1, *bench.some(MUCH))
    bench.push(second, 1, *bench.some(MUCH))
    bench.work()
    bench.work()  # the two that were asked for before the second came
    counts = bench.done_of(first, second, batches=10)
    assert abs(counts[0] - counts[1]) <= piece_updates()


def test_what_a_session_of_a_share_leaves_behind_is_done_and_the_others_go_on() -> None:
    bench = Shared()
    gone, stays = bench.come(DEVICE), bench.come(DEVICE)
    bench.push(gone, 1, *bench.some(MUCH))
    bench.push(stays, 1, *bench.some(3))
    bench.hub.lost(gone, 0)
    while not bench.hub.idle:
        bench.work()
    assert len(codes(bench.verdicts(stays))) == 3
    assert not bench.hub.held_bytes


def test_whose_turns_a_session_takes_is_known_once_it_was_let_in_and_until_it_is_over() -> None:
    bench = Shared()
    assert bench.hub.share(bench.hub.connect(0)) is None
    session = bench.come(DEVICE)
    assert bench.hub.share(session) == ("", "192.0.2.1", DEVICE)
    bench.hub.lost(session, 0)
    assert bench.hub.share(session) is None


def test_a_record_that_is_busy_in_the_other_lane_holds_up_one_session_of_a_share_and_not_the_others() -> None:
    lane = Lane(slow=False)
    first, second = (Sender(number, Principal(DEVICE), DEVICE, lane, Principal(DEVICE).share("")) for number in (1, 2))
    lane.add(first, Waiting.of(1, ((0, PushEntry("customers/a", b"u")),)))
    lane.add(second, Waiting.of(1, ((0, PushEntry("customers/b", b"u")),)))
    assert [sender.session for sender, _ in lane.next_batch({"customers/a"})] == [2]
    assert lane.next_batch({"customers/a"}) == []
    assert [sender.session for sender, _ in lane.next_batch(set())] == [1]
    assert (lane.waiting, lane.waiting_weight) == (0, 0)


def test_a_session_that_goes_to_another_lane_or_is_given_up_leaves_the_turns_to_the_others_of_its_share() -> None:
    quick, slow = Lane(slow=False), Lane(slow=True)
    share = Principal(DEVICE).share("")
    moved, gone, stays = (Sender(number, Principal(DEVICE), DEVICE, quick, share) for number in (1, 2, 3))
    for sender in (moved, gone, stays):
        quick.add(sender, Waiting.of(1, ((0, PushEntry(f"customers/{sender.session}", b"u")),)))
    slow.take_over(moved)
    quick.remove(gone)
    assert [sender.session for sender, _ in quick.next_batch(set())] == [3]
    assert [sender.session for sender, _ in slow.next_batch(set())] == [1]
    assert (quick.waiting, slow.waiting) == (0, 0)
