"""What was counted in a record that is renewed: nothing is lost or counted twice, and a life has one total."""

from decimal import Decimal
from itertools import permutations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from crdt_sync import limits
from crdt_sync.clock import HybridClock
from crdt_sync.limits import INTEGER_EXACT_MAX
from crdt_sync.records import Document, Editor, parse_schema, values_of
from crdt_sync.records.lineages import dots, renewal
from crdt_sync.records.lineages.lineage import lineage_of
from crdt_sync.records.lineages.renewal import renewed
from crdt_sync.records.values import exact_sum
from tests.records.lineages.devices import LIFE, SCHEMA, START, merged, person

COUNTERS = parse_schema(
    'collection="meters"\nversion=1\n[fields.whole]\nkind="counter"\n[fields.exact]\nkind="counter"\ntype="decimal"\n',
    "meters",
)
WHOLE = (1, -1, dots.COUNTED_MAX - 1, -dots.COUNTED_MAX, INTEGER_EXACT_MAX, 600_000_000_000_000)
EXACT = (Decimal("0.5"), Decimal("-0.01"), Decimal(7), Decimal(10) ** 60)


def _counting(document: Document, life: int) -> tuple[Document, Editor]:
    copy = Document.load((document.diff(),), lineage_of(document).following(life))
    return copy, Editor(copy, COUNTERS, HybridClock(lambda: START), f"life{life}", "meters")


@given(st.lists(st.tuples(st.integers(0, 2), st.sampled_from(["count", "renew", "join", "join"])), max_size=24))
def test_what_lives_counted_under_ids_that_follow_each_other_adds_up(script: list[tuple[int, str]]) -> None:
    """Three devices go on under the next id whenever a lineage covers theirs."""
    documents, counted = [Document() for _ in range(3)], [0, 0, 0]
    for step, (device, act) in enumerate(script):
        document = documents[device]
        if act == "count":
            writer = lineage_of(document).following(LIFE * (device + 1))
            documents[device], editor = person(document, writer, START + 1000 * step)
            editor.increment("visits", 10**device)
            counted[device] += 1
        elif act == "renew":
            documents[device] = renewed(document)
        else:
            other = documents[(device + 1) % 3]
            documents[device] = merged(document, other)
    together = merged(merged(documents[0], documents[1]), documents[2])
    assert values_of(together, SCHEMA).get("visits", 0) == sum(
        10**device * times for device, times in enumerate(counted)
    )


@given(
    st.lists(
        st.tuples(
            st.integers(0, 2),
            st.sampled_from([*WHOLE, *EXACT]) | st.sampled_from(["renew", "renew", "from 1", "from 2", "from 2"]),
        ),
        max_size=24,
    )
)
@example([(0, 600_000_000_000_000), (0, "renew"), (0, 1), (1, "from 2"), (1, "renew"), (0, 600_000_000_000_000)])
def test_no_count_is_lost_however_large_the_totals_and_whoever_renews(
    script: list[tuple[int, int | Decimal | str]],
) -> None:
    """Devices 0 to 2 go on under the next id whenever a lineage covers theirs; `from` tells whom one hears."""
    documents = [Document() for _ in range(3)]
    whole, exact = 0, Decimal(0)
    for device, act in script:
        document = documents[device]
        if act == "renew":
            documents[device] = renewed(document)
            assert _counts(documents[device]) == _counts(document)
        elif isinstance(act, str):
            documents[device] = merged(document, documents[(device + int(act[-1])) % 3])
        else:
            documents[device], editor = _counting(document, LIFE * (device + 1))
            if isinstance(act, int):
                editor.increment("whole", act)
                whole += act
            else:
                editor.increment("exact", act)
                exact = exact_sum((exact, act))
    together = [
        merged(merged(documents[one], documents[other]), documents[last]) for one, other, last in permutations(range(3))
    ]
    for document in [*together, *map(renewed, together)]:
        assert _counts(document) == [whole, exact]


def _counts(document: Document) -> list[Decimal]:
    values = values_of(document, COUNTERS)
    return [Decimal(str(values.get(field, 0))) for field in ("whole", "exact")]


@pytest.mark.parametrize(
    ("field", "amounts"),
    [
        ("whole", [dots.COUNTED_MAX - 1] * 3),
        ("whole", [INTEGER_EXACT_MAX] * 3),
        ("exact", [Decimal("0.1")] * 30),
        ("exact", [Decimal(10) ** 60, Decimal("1e-60"), Decimal(1)]),
    ],
)
def test_what_a_life_counted_is_one_total_whatever_number_it_is(field: str, amounts: list[int | Decimal]) -> None:
    document = Document()
    for amount in amounts:
        document, editor = _counting(document, LIFE)
        editor.increment(field, amount)
        document = renewed(document)
    (content,) = (each for root, each in document.contents().items() if root == f"n.{field}")
    assert isinstance(content, dict)
    assert [Decimal(total) for total in content.values()] == [exact_sum(map(Decimal, amounts))]


def test_devices_that_renew_apart_what_was_counted_in_decimals_make_the_same() -> None:
    document = Document()
    for number in range(4):
        document, editor = _counting(document, LIFE * (1 + number % 2))
        editor.increment("exact", Decimal("0.1"))
        document = renewed(document) if number < 3 else document
    assert renewed(document).diff() == renewed(Document.load((document.diff(),), 77)).diff()
    assert _counts(renewed(document)) == [0, Decimal("0.4")]


def test_a_record_of_many_lives_that_counted_in_decimals_is_grown_only_until_it_is_renewed() -> None:
    document = Document()
    for life in range(200):
        document, editor = _counting(document, LIFE * (life + 1))
        for number in range(5):
            editor.increment("exact", Decimal(f"{number}.5"))
    assert renewal.is_grown(document)
    assert renewed(document).size > limits.RENEWED_BYTES_MIN
    assert not renewal.is_grown(renewed(document))
