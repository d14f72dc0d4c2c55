"""Where too many are connected, strangers go, the oldest first, and nobody else does."""

from hypothesis import given
from hypothesis import strategies as st

from crdt_sync.runtime.hosting.places import Places

ROOM = 3


class Guest:
    def __init__(self) -> None:
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
