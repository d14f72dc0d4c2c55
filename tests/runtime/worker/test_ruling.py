"""A worker that goes by a policy: what it is told, once each, and what it answers."""

from collections.abc import Awaitable, Callable

import pytest

from crdt_sync import ids
from crdt_sync.policy.in_force import InForce
from crdt_sync.policy.reading import parse_policy
from crdt_sync.records import Document, parse_schema
from crdt_sync.records.definition import written
from crdt_sync.runtime.worker import pipe
from crdt_sync.runtime.worker.pipe import Told
from crdt_sync.runtime.worker.pool import IntegrationPool
from crdt_sync.runtime.worker.ruling import Ruling, Teller
from crdt_sync.runtime.worker.values import Item
from tests.runtime.worker.conftest import RunScenario, Shelf, Writer, codes

ANNA = "people/anna"
POLICY = """
[[role.sales.grant]]
collection = "people"
where = "region == 'North'"
read = ["*"]
write = ["phone", "region"]
operations = ["create", "edit"]

[user.anna]
role = "sales"
"""
SCHEMA = """
collection = "people"
version = {version}

[fields.phone]

[fields.iban]
{section}

[fields.region]
filter = true
"""


def in_force(version: int = 1, text: str = POLICY) -> InForce:
    return InForce(version, parse_policy(text, "a test"))


def definition(version: int = 1, section: str = 'section = "finance"', writer: int = 77) -> bytes:
    """The update that defines the collection."""
    schema = parse_schema(SCHEMA.format(version=version, section=section), "a test")
    document = Document(writer)
    with document.transaction() as transaction:
        array = document.array(transaction, "c.definition")
        array.insert(transaction, 0, [written(schema, {}, {}), 0, "schema"])
    return document.diff()


class Ruled(Shelf):
    """A shelf that says where records stand."""

    def seq(self, record: str) -> int:
        return len(self.updates.get(record, ()))


def new(writer: Writer, **values: str) -> bytes:
    """The record with these fields, as one update."""
    for field, value in values.items():
        writer.write(value, f"c.{field}")
    return writer._document.get_update()


def run(scenario: Callable[[IntegrationPool], Awaitable[None]], run_scenario: RunScenario, shelf: Ruled) -> None:
    async def whole(pool: IntegrationPool, _: Shelf) -> None:
        pool._load, pool._seq = shelf.load, shelf.seq
        await scenario(pool)

    run_scenario(whole)


def test_a_worker_goes_by_policy_and_schema_and_tells_what_is_shown(run_scenario: RunScenario) -> None:
    shelf, writer = Ruled(), Writer()
    shelf.updates[ids.schema_record("people")] = [definition()]

    async def scenario(pool: IntegrationPool) -> None:
        held = in_force()
        made = Item(ANNA, (new(writer, phone="1", region="North"),), users=("anna",))
        (result,) = await pool.integrate([made], None, held)
        assert codes([result]) == [["accepted"]]
        assert result.shown == {"region": "North"}
        shelf.keep([made], [result])
        items = [
            Item(ANNA, (writer.write("2"), writer.write("x", "c.iban"), writer.write("3")), users=("anna",) * 3),
            Item("people/ben", (new(Writer(5), phone="1", region="South"),), users=("anna",)),
            Item("people/cy", (new(Writer(6), phone="1", region="North"),), users=("eve",)),
        ]
        results = await pool.integrate(items, None, held)
        assert codes(results) == [["accepted", "forbidden", "gap"], ["forbidden"], ["forbidden"]]
        assert results[0].verdicts[1].reason.startswith("iban: this field is in the section 'finance'")
        assert [result.shown for result in results] == [{"region": "North"}, None, None]

    run(scenario, run_scenario, shelf)


def test_without_a_policy_nothing_is_told_and_all_is_let_in(run_scenario: RunScenario) -> None:
    async def scenario(pool: IntegrationPool) -> None:
        (result,) = await pool.integrate([Item(ANNA, (Writer().write("x", "c.iban"),))], None)
        assert (codes([result]), result.shown) == ([["accepted"]], None)

    run(scenario, run_scenario, Ruled())


def test_a_newer_policy_and_a_newer_schema_count_from_the_next_batch_and_in_the_next_worker(
    run_scenario: RunScenario,
) -> None:
    shelf, writer = Ruled(), Writer()
    shelf.updates[ids.schema_record("people")] = [definition()]
    wider = POLICY.replace('write = ["phone", "region"]', 'write = ["*"]')

    async def scenario(pool: IntegrationPool) -> None:
        async def wrote(field: str, policy: InForce) -> str:
            writer = Writer(next(writers))
            item = Item(
                f"people/{writer._document.client_id}", (new(writer, region="North", **{field: "x"}),), users=("anna",)
            )
            (result,) = await pool.integrate([item], None, policy)
            return result.verdicts[0].code

        writers = iter(range(10, 90))
        assert await wrote("iban", in_force(2, wider)) == "forbidden"
        assert await wrote("iban", in_force(3)) == "forbidden"
        shelf.updates[ids.schema_record("people")] += [definition(2, "", 78)]
        assert await wrote("iban", in_force(3)) == "forbidden"
        assert await wrote("iban", in_force(4, wider)) == "accepted"
        pool._active.kill()
        assert await wrote("iban", in_force(4, wider)) == "accepted"
        assert await wrote("iban", in_force(5)) == "forbidden"

    run(scenario, run_scenario, shelf)
    assert writer


def test_each_thing_is_told_once() -> None:
    shelf = Ruled()
    teller = Teller(shelf.load, shelf.seq)
    record = ids.schema_record("people")
    held = in_force()
    first = teller.told(held, [ANNA, "people/ben", "others/x", record])
    assert first.policy is not None
    assert first.definitions == {"people": (), "others": ()}
    assert teller.told(held, [ANNA]) == Told(1, None, {})
    shelf.updates[record] = [definition()]
    assert teller.told(in_force(2), [ANNA]).definitions == {"people": (definition(),)}
    assert shelf.loads == [record]


def test_a_definition_that_cannot_be_read_defines_nothing() -> None:
    ruling = Ruling()
    told = Teller(lambda _: [b"\xff\xff"], lambda _: 1).told(in_force(), [ANNA, "customers/a"])
    ruling.hear(told)
    assert ruling.of(ANNA).schema is None
    ruling.hear(pipe.Told(1, None, {"customers": ()}))
    assert ruling.of("customers/a").schema is not None  # the bundled one


@pytest.mark.parametrize(
    "values",
    [
        {"region": b"x"},
        {"Region": "x"},
        {"region": "x" * 202},
        {"region": ["x"]},
        {f"f{n}": "" for n in range(513)},
        ["x"],
    ],
)
def test_values_that_no_worker_tells_are_not_believed(values: object) -> None:
    body = pipe.frame((7, [[[1], b"\x00", None, None, None, values]], []))[4:]
    with pytest.raises(pipe.PipeCorrupt):
        pipe.decode_results(body, 7, [1], ruled=True)
