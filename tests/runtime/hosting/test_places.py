"""Where too many are connected, strangers go, the oldest first, and nobody else does."""

from hypothesis import given
from hypothesis import strategies as st

from crdt_sync.runtime.hosting.places import Places

ROOM = 3


class Guest:
    def __init__(self, address: str = "a") -> None:
        self.address = address
        self.is_stranger = True
        self.here = True

    def cut_off(self) -> None:
        self.here = False


@given(st.lists(st.tuples(st.sampled_from(["come", "greet", "leave", "elsewhere"]), st.integers(0, 9)), max_size=40))
def test_only_strangers_give_way_and_only_as_many_as_must(steps: list[tuple[str, int]]) -> None:
    elsewhere = 0
    places: Places[Guest] = Places(ROOM, lambda: elsewhere)
    guests: list[Guest] = []  # in the order in which they came
    for what, number in steps:
        here = [guest for guest in guests if guest.here]
        if what == "come":
            newcomer = Guest()
            guests.append(newcomer)
            places.come(newcomer)
            strangers = [guest for guest in here if guest.is_stranger]
            gone = [guest for guest in here if not guest.here]
            must = max(len(here) + 1 + elsewhere - ROOM, 0)
            assert gone == strangers[:must]
            assert newcomer.here
        elif what == "greet" and here:
            here[number % len(here)].is_stranger = False
        elif what == "leave" and here:
            leaver = here[number % len(here)]
            leaver.here = False
            places.leave(leaver)
        elif what == "elsewhere":
            elsewhere = number % (ROOM + 1)
        assert places.taken == {guest for guest in guests if guest.here}
        assert places.full == (len(places.taken) + elsewhere > ROOM)


def test_who_opens_many_connections_makes_room_by_his_own() -> None:
    places: Places[Guest] = Places(10, lambda: 0)
    honest, behind_the_same_router = Guest("b"), Guest("c")
    places.come(honest)
    many = [Guest("a") for _ in range(50)]
    for number, guest in enumerate(many):
        places.come(guest)
        if number == 20:
            places.come(behind_the_same_router)
    assert honest.here
    assert behind_the_same_router.here
    assert [guest.here for guest in many] == [False] * 42 + [True] * 8


def test_an_address_of_many_devices_is_not_held_against_its_next_one() -> None:
    places: Places[Guest] = Places(10, lambda: 0)
    office = [Guest("office") for _ in range(5)]
    for guest in office:
        places.come(guest)
        guest.is_stranger = False
    newcomer = Guest("office")
    places.come(newcomer)
    for _ in range(50):
        places.come(Guest("a"))
    assert newcomer.here
    assert all(guest.here for guest in office)
