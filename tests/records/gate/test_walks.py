"""Items that take yrs long to place are counted before it sees them, and refused; what people write never is."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crdt_sync.records import Integrator, scan
from crdt_sync.records.gate import loaded, walks
from crdt_sync.records.gate.walks import steps_added, walked_steps
from crdt_sync.records.updates.lists import Lists
from crdt_sync.records.updates.update import Item
from tests.records.gate.conftest import RECORD, gate, judge
from tests.records.raw_updates import struct_update, text_struct

OTHER, TYPED, LAST, FRONT = 6, 7, 8, 9  # writers of `crowded`


@pytest.fixture(autouse=True)
def lower_limit(monkeypatch):
    """A quarter of the real one, so that a test takes no second."""
    monkeypatch.setattr(loaded, "WALKED_STEPS_MAX", 1_000_000)


def crowded(typed, front):
    """A text that two wrote by turns, one character after it, and `front` items before that, from the start."""
    turns = [((TYPED, OTHER)[number % 2], number // 2) for number in range(typed)]
    text = {TYPED: [], OTHER: []}
    for (writer, _), left in zip(turns, [None, *turns], strict=False):
        text[writer].append(text_struct("x", left, None))
    between = [text_struct("z", turns[-1], None)]  # all of the text is integrated first
    between += [text_struct("y", None, (LAST, 0)) for _ in range(front)]
    writers = {FRONT: between, LAST: [text_struct("r", None, None)], **text}
    return struct_update({writer: (0, structs) for writer, structs in writers.items()})


def steps_of(update):
    return walked_steps(Lists(scan(update).items))


def test_a_small_update_with_a_million_steps_is_refused_and_names_them():
    integrator = gate()
    verdict = judge(integrator, crowded(1_000, 1_000))
    assert verdict.code == "too_large"
    assert "2002002 steps" in verdict.reason
    assert judge(integrator, crowded(300, 300)).code == "accepted"


def test_what_is_refused_leaves_the_record_as_it_was_and_open_to_others():
    integrator = gate()
    base = crowded(600, 0)
    assert judge(integrator, base).code == "accepted"
    before = integrator.document(RECORD).diff()
    many = struct_update({FRONT: (1, [text_struct("y", None, (LAST, 0)) for _ in range(1_000)])})
    assert judge(integrator, many).code == "too_large"
    assert integrator.document(RECORD).diff() == before
    assert judge(integrator, struct_update({FRONT: (1, [text_struct("y", None, (LAST, 0))])})).code == "accepted"


@pytest.mark.parametrize("reloads", [False, True])
def test_it_is_refused_in_small_parts_as_well_and_what_was_accepted_stays_within_the_limit(reloads):
    integrator = gate()
    assert judge(integrator, crowded(900, 0)).code == "accepted"
    codes = []
    for part in range(20):
        if reloads:
            stored = [integrator.document(RECORD).diff()]
            integrator.integrate(RECORD, stored, (), None, True, False)
        items = [text_struct("y", None, (LAST, 0)) for _ in range(50)]
        codes.append(judge(integrator, struct_update({FRONT: (1 + 50 * part, items)})).code)
    accepted = codes.count("accepted")
    assert 0 < accepted < 20
    assert codes == ["accepted"] * accepted + ["too_large"] + ["gap"] * (19 - accepted)
    whole = integrator.document(RECORD).diff()
    assert steps_of(whole) <= 1_000_000 + 20_000 * (len(whole) / 1024 + 50)


def test_values_of_one_key_that_know_nothing_of_each_other_count_as_well():
    value = b"\x28\x01\x03n.a\x01k\x01\x78"
    assert judge(gate(), struct_update({TYPED: (0, [value] * 1_200)})).code == "too_large"
    assert judge(gate(), struct_update({TYPED: (0, [value] * 200)})).code == "accepted"


def test_a_record_that_was_that_dear_before_takes_edits():
    integrator = Integrator(1)
    stored = crowded(1_000, 1_000)
    integrator.integrate(RECORD, (stored,), (), None, False, False)
    edit = struct_update({11: (0, [text_struct("!", (LAST, 0), None)])})
    assert judge(integrator, edit).code == "accepted"


def test_what_a_record_took_while_it_was_too_dear_counts_later(monkeypatch):
    integrator = gate()
    assert judge(integrator, crowded(300, 300)).code == "accepted"
    monkeypatch.setattr(loaded, "WALKED_STEPS_PER_KIB", 0)
    monkeypatch.setattr(loaded, "WALKED_STEPS_MAX", 0)
    more = [text_struct("y", None, (LAST, 0))]
    assert judge(integrator, struct_update({FRONT: (301, 100 * more)})).code == "accepted"
    monkeypatch.setattr(loaded, "WALKED_STEPS_MAX", steps_of(integrator.document(RECORD).diff()))
    assert judge(integrator, struct_update({FRONT: (401, more)})).code == "too_large"


def test_people_who_write_one_after_the_other_make_no_steps():
    rng = random.Random(5)
    model = Model()
    for _ in range(200):
        left, right = model.gap(rng.randrange(len(model.order) + 1))
        model.integrate(model.item(rng.choice((3, 4, 5)), left, right))
    assert model.steps == 0
    assert walked_steps(Lists(model.items)) == 0


class Model:
    """A list as Yjs keeps it, every operation by itself, and how many others were walked over."""

    def __init__(self):
        self.order, self.items, self.by_id, self.steps = [], [], {}, 0

    def gap(self, place):
        left = self.order[place - 1] if place else None
        return left, self.order[place] if place < len(self.order) else None

    def item(self, writer, left, right):
        clock = sum(item.writer == writer for item in self.items)
        root = "t.a" if left is None and right is None else None
        return Item(writer, clock, 1, True, False, root, left, right)

    def integrate(self, item):
        left, order = item.left, self.order
        at = 0 if left is None else order.index(left) + 1
        place, before, conflicting = at, set(), set()
        while at < len(order) and order[at] != item.right:
            self.steps += 1
            other = self.by_id[order[at]]
            before.add(order[at])
            conflicting.add(order[at])
            if other.left == item.left:
                if other.writer < item.writer:
                    place, conflicting = at + 1, set()
                elif other.right == item.right:
                    break
            elif other.left in before:
                if other.left not in conflicting:
                    place, conflicting = at + 1, set()
            else:
                break
            at += 1
        order.insert(place, (item.writer, item.clock))
        self.by_id[item.writer, item.clock] = item
        self.items.append(item)

    def lacks(self, item):
        needed = [item.left, item.right, (item.writer, item.clock - 1) if item.clock else None]
        return any(operation is not None and operation not in self.by_id for operation in needed)


def drawn_items(rng, count):
    """Items that editors can have made, each of whom had seen only some of the others."""
    items = []
    for _ in range(count):
        view = Model()
        for item in items:
            if rng.random() < 0.6 and not view.lacks(item):
                view.integrate(item)
        left, right = view.gap(rng.choice((0, rng.randrange(len(view.order) + 1))))
        writer = rng.randrange(1, 6)
        clock = sum(item.writer == writer for item in items)
        root = "t.a" if left is None and right is None else None
        items.append(Item(writer, clock, 1, True, False, root, left, right))
    return items


def walked_in_some_order(items, rng):
    model, waiting = Model(), list(items)
    while waiting:
        ready = [item for item in waiting if not model.lacks(item)]
        item = rng.choice(ready)
        waiting.remove(item)
        model.integrate(item)
    return model.steps


def in_order(items):
    return sorted(items, key=lambda item: (item.writer, item.clock))


@given(st.integers(0, 1 << 32), st.integers(2, 30))
def test_no_order_takes_more_steps_than_counted(seed, count):
    rng = random.Random(seed)
    items = drawn_items(rng, count)
    # The block at which a walk ends was looked at too, once for each item.
    assert walked_in_some_order(items, rng) <= walked_steps(Lists(in_order(items))) + count


def joined(items, rng):
    """The same operations, with some that were typed one after the other as one item."""
    whole = []
    for item in items:
        for number, before in enumerate(whole):
            last = (item.writer, before.clock + before.length - 1)
            follows = before.writer == item.writer and item.left == last and item.right == before.right
            if follows and item.clock == last[1] + 1 and rng.random() < 0.7:
                whole[number] = before._replace(length=before.length + 1)
                break
        else:
            whole.append(item)
    return whole


def outgrown(items):
    """How much more the steps of a list have grown by than was said, at most, while items were added one by one."""
    lists, said, most = Lists(), 0, 0
    for count, item in enumerate(items, 1):
        forks = lists.add([item])
        said += steps_added(lists, 1, forks, count)
        most = max(most, walked_steps(lists) - said)
        known = lists.forks
        lists.take_back([item])
        assert lists.forks == known - forks
        assert lists.add([item]) == forks
    return most


@given(st.integers(0, 1 << 32), st.integers(2, 40))
def test_what_items_add_is_not_more_than_is_said_without_counting(seed, count):
    rng = random.Random(seed)
    items = drawn_items(rng, count)
    assert outgrown(items) == 0
    assert outgrown(joined(items, rng)) == 0


def test_an_addition_that_forgets_those_with_siblings_is_found_out():
    fork = [*typed(1), *(text(FRONT + number, 0, (TYPED, 0), None) for number in range(12))]
    chain = [text(FRONT, clock, (FRONT, clock - 1), None) for clock in range(1, 60)]
    assert outgrown([*fork, *chain]) == 0
    lists, said = Lists(), 0
    for count, item in enumerate([*fork, *chain], 1):
        said += 2 * lists.add([item]) * count  # what forks alone
    assert walked_steps(lists) > said


def test_a_record_that_is_edited_without_end_is_hardly_ever_counted(monkeypatch):
    counted = []
    monkeypatch.setattr(loaded, "walked_steps", lambda lists: counted.append(len(lists)) or walked_steps(lists))
    integrator = gate()
    for clock in range(3_000):
        typed = text_struct("x", (TYPED, clock - 1) if clock else None, None)
        assert judge(integrator, struct_update({TYPED: (clock, [typed])})).code == "accepted"
    assert counted == []


def text(writer, clock, left, right):
    return Item(writer, clock, 1, True, False, "t.a" if left is None and right is None else None, left, right)


def typed(count):
    return [text(TYPED, clock, (TYPED, clock - 1) if clock else None, None) for clock in range(count)]


WORST = {
    "before one character": [
        *typed(40),
        text(LAST, 0, None, None),
        *(text(FRONT, clock, None, (LAST, 0)) for clock in range(5)),
    ],
    "after each character": [*typed(40), *(text(FRONT, clock, (TYPED, clock), None) for clock in range(39))],
}


def uncounted(items):
    model = Model()
    for item in items:
        model.integrate(item)
    return model.steps - walked_steps(Lists(in_order(items))) - len(items)


class OneBlockEach:
    def __init__(self, _tree):
        pass

    def of(self, _place, siblings):
        return [1] * len(siblings)


@pytest.mark.parametrize("name", WORST)
def test_the_worst_orders_are_counted(name):
    assert uncounted(WORST[name]) <= 0


@pytest.mark.parametrize(
    ("name", "planted", "wrong"),
    [
        ("before one character", "_Sizes", OneBlockEach),
        ("after each character", "_is_chain", lambda siblings: len(siblings) < 3),
        ("before one character", "_walked", lambda siblings, sizes: sum(sizes)),
    ],
)
def test_a_count_that_misses_steps_is_found_out(name, planted, wrong, monkeypatch):
    monkeypatch.setattr(walks, planted, wrong)
    assert uncounted(WORST[name]) > 0
