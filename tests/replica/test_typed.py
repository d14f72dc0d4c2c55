"""Records as instances of classes: what is read, what an edit writes, and what does not fit."""

import asyncio
import subprocess
import sys
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Any, Literal

import pytest
from pydantic import AliasChoices, AliasPath, BaseModel, Field
from pydantic.dataclasses import dataclass as pydantic_dataclass

from crdt_sync import Replica, bundled_schema, merged, schema_for
from crdt_sync.errors import InvalidSchema, InvalidValue, OpenConflict, UnknownCollection, UnknownField, UsageError
from crdt_sync.records import parse_schema

ROOT = Path(__file__).resolve().parents[2]


@dataclass
class Person:
    name: str
    phone: Annotated[str | None, merged("review", label="Phone")] = None
    stage: Annotated[str, merged("stage", states=("lead", "won"))] = "lead"
    language: Literal["de", "en"] | None = None
    amount: Decimal | None = None
    born: date | None = None
    seen: datetime | None = None
    newsletter: bool = False
    tags: set[str] = field(default_factory=set)
    visits: Annotated[int, merged("counter")] = 0
    notes: Annotated[str, merged("text")] = ""
    calls: list[str] = field(default_factory=list)
    more: dict[str, Any] = field(default_factory=dict)


class Guest(BaseModel):
    name: str
    visits: int = Field(default=0, ge=0)
    tags: frozenset[str] = frozenset()


PEOPLE = schema_for(Person, "people", natural_key=("name",), label="People")
FULL = Person(
    "Ann", "1", "won", "de", Decimal("1.50"), date(1990, 7, 5), datetime(2026, 1, 2, tzinfo=UTC), True, {"vip", "new"},
    3, "a note", ["called"], {"a": [1]},
)  # fmt: skip


@pytest.fixture
def people(make_replica):
    return make_replica("anna", PEOPLE).typed(Person, "people")


def test_a_schema_follows_from_a_class():
    assert parse_schema(PEOPLE.to_toml(), "people") == PEOPLE
    assert {name: (spec.kind, spec.type) for name, spec in PEOPLE.fields.items()} == {
        "name": ("value", "string"),
        "phone": ("review", "string"),
        "stage": ("stage", "string"),
        "language": ("value", "enum"),
        "amount": ("value", "decimal"),
        "born": ("value", "date"),
        "seen": ("value", "datetime"),
        "newsletter": ("value", "boolean"),
        "tags": ("set", "string"),
        "visits": ("counter", "integer"),
        "notes": ("text", "string"),
        "calls": ("log", "string"),
        "more": ("value", "json"),
    }
    assert [name for name, spec in PEOPLE.fields.items() if spec.required] == ["name"]
    assert (PEOPLE.fields["language"].choices, PEOPLE.fields["phone"].label) == (("de", "en"), "Phone")


def test_what_an_instance_holds_comes_back(people):
    record = people.add(FULL)
    assert people.get(record).value == FULL
    assert people.get(people.add(Person("Ben"))).value == Person("Ben")
    assert [each.value.name for each in people.find(tags="vip")] == ["Ann"]
    assert sorted(each.value.name for each in people.list()) == ["Ann", "Ben"]


def test_an_edit_writes_what_was_changed_and_nothing_else(people, replica):
    record = people.add(FULL)
    updates = people._replica.document(record).diff()
    with people.edit(record):
        pass
    assert people._replica.document(record).diff() == updates
    with people.edit(record) as person:
        person.phone = None
        person.visits += 2
        person.tags.discard("new")
        person.tags.add("key")
        person.notes += ", longer"
        person.calls.append("again")
        person.more["b"] = 2
    value = people.get(record).value
    assert (value.phone, value.visits, value.tags, value.notes) == (None, 5, {"vip", "key"}, "a note, longer")
    assert (value.calls, value.more, value.amount) == (["called", "again"], {"a": [1], "b": 2}, Decimal("1.50"))


def test_an_edit_that_raises_writes_nothing(people):
    record = people.add(FULL)
    with pytest.raises(InvalidValue, match="only grows"), people.edit(record) as person:
        person.visits, person.calls = 9, []
    with pytest.raises(ZeroDivisionError), people.edit(record) as person:
        person.visits, _ = 9, 1 // 0
    with pytest.raises(InvalidValue, match="newsletter"), people.edit(record) as person:
        person.newsletter = 1  # equal to True, and no boolean
    assert people.get(record).value == FULL


def test_blocks_that_overlap_merge_and_conflicts_are_seen(people):
    record = people.add(Person("Ann", visits=1, notes="two"))
    first, second = people.edit(record), people.edit(record)

    async def both() -> None:
        async def one(block, phone, note):
            async with block as person:
                person.phone, person.visits, person.notes = phone, person.visits + 1, note
                await both_open.wait()

        both_open = asyncio.Barrier(2)
        await asyncio.gather(one(first, "1", "one two"), one(second, "2", "two three"))

    asyncio.run(both())
    found = people.get(record)
    assert (found.value.visits, found.value.notes, found.conflicts) == (3, "one two three", ("phone",))
    with pytest.raises(OpenConflict), people.edit(record) as person:
        person.phone = "3"
    with people.edit(record) as person:
        person.visits += 1  # and the conflict stays open
    people._replica.resolve(record, "phone", "3")
    assert (people.get(record).value.phone, people.get(record).conflicts) == ("3", ())


def test_fields_of_a_newer_schema_are_kept_and_seen(people):
    record = people.add(Person("Ann"))
    newer = replace(PEOPLE, version=2, fields={**PEOPLE.fields, "city": parse_schema(_CITY, "x").fields["city"]})
    replica = people._replica
    replica.add_schema(newer)
    with replica.edit(record) as editor:
        editor["city"] = "Bonn"
    with people.edit(record) as person:
        person.name = "Anna"
    assert (people.get(record).value.name, people.get(record).others) == ("Anna", {"city": "Bonn"})


_CITY = 'collection = "x"\nversion = 1\n[fields.city]\n'


def test_what_does_not_fit_the_class_is_told_and_stops_no_listing(replica):
    people = replica.typed(Guest, "customers")
    good = people.add(Guest(name="Ann", visits=2, tags=frozenset({"vip"})))
    bad = people.add(Guest(name="Ben"))
    with replica.edit(bad) as editor:
        editor.increment("visits", -1)  # which the model forbids
    found = {each.record: each for each in people.list()}
    assert found[good].value == Guest(name="Ann", visits=2, tags=frozenset({"vip"}))
    with pytest.raises(InvalidValue, match=r"visits.*Guest does not take it"):
        _ = found[bad].value
    with pytest.raises(InvalidValue), people.edit(bad):
        pass
    assert found[bad].view["name"] == "Ben"


@pytest.mark.parametrize(
    ("of", "told"),
    [
        ("class X:\n  nmae: str", "nmae"),
        ("class X:\n  city: str", "records may lack it"),
        ("class X:\n  name: int", "write str"),
        ("class X:\n  amount: float | None = None", "no field holds"),
        ("class X:\n  tags: str = ''", r"write set\[...\]"),
        ("class X:\n  name: set[str]", "the field is a value"),
        ("class X:\n  visits: Annotated[int, merged('rating')] = 0", "the class says rating"),
    ],
)
def test_a_class_that_does_not_fit_is_refused_at_once(replica, of, told):
    names: dict[str, Any] = {"Annotated": Annotated, "merged": merged}
    exec(of, names)
    with pytest.raises((InvalidSchema, UnknownField), match=told):
        replica.typed(dataclass(names["X"]), "customers")


ALIASED: dict[str, tuple[Any, Any]] = {
    "alias": (Field(default=None, alias="tel"), {}),
    "validation alias": (Field(default=None, validation_alias="tel"), {}),
    "choices": (Field(default=None, validation_alias=AliasChoices(AliasPath("tel", 0), "tel", "mobile")), {}),
    "also by name": (Field(default=None, alias="tel"), {"populate_by_name": True}),
    "by name alone": (Field(default=None, alias="tel"), {"validate_by_name": True, "validate_by_alias": False}),
    "generated": (Field(default=None), {"alias_generator": str.upper}),
    "serialization alias": (Field(default=None, serialization_alias="tel"), {}),
}


@pytest.mark.parametrize("aliased", ALIASED)
@pytest.mark.parametrize("kind", ["model", "dataclass"])
def test_fields_are_read_and_written_whatever_pydantic_calls_them(replica, aliased, kind):
    default, config = ALIASED[aliased]
    names = {"__annotations__": {"phone": str | None}, "phone": default}
    if kind == "model":
        made: Any = type("Aliased", (BaseModel,), {**names, "__module__": __name__, "model_config": config})
    else:
        made = pydantic_dataclass(config=config)(type("Aliased", (), names))
    with replica.edit("customers") as editor:
        editor["name"], editor["phone"] = "Ann", "123"
    people = replica.typed(made, "customers")
    assert people.get(editor.record).value.phone == "123"
    with people.edit(editor.record) as person:
        person.phone = None
    assert replica.get(editor.record).get("phone") is None


def test_what_an_alias_refuses_is_told_by_the_name_of_the_field(replica):
    class Visitor(BaseModel):
        visits: int = Field(default=0, ge=0, alias="calls")

    with replica.edit("customers") as editor:
        editor["name"] = "Ann"
        editor.increment("visits", -1)
    with pytest.raises(InvalidValue, match="visits"):
        _ = replica.typed(Visitor, "customers").get(editor.record).value


def test_an_alias_that_is_a_path_is_refused_at_once(replica):
    class Nested(BaseModel):
        phone: str | None = Field(default=None, validation_alias=AliasPath("tel", 0))

    with pytest.raises(InvalidSchema, match="path"):
        replica.typed(Nested, "customers")


def test_none_is_none_whatever_the_default(replica):
    @dataclass
    class Reached:
        name: str
        phone: str | None = "unknown"

    people = replica.typed(Reached, "customers")
    record = people.add(Reached("Ann"))
    assert replica.get(record).get("phone") == "unknown"
    with people.edit(record) as person:
        person.phone = None
    assert people.get(record).value == Reached("Ann", None)
    with people.edit(record) as person:
        person.phone = "unknown"
    assert replica.get(record).get("phone") == "unknown"


def test_what_a_class_cannot_hold_is_told_as_such(make_replica):
    @dataclass
    class Strict:
        name: str
        things: set[Any] = field(default_factory=set)

        def __post_init__(self) -> None:
            if self.name == "bad":
                raise ValueError("no such name")

    replica = make_replica("ben", schema_for(Strict, "stricts"))
    people = replica.typed(Strict, "stricts")
    named, held = people.add(Strict("x", {1, "a"})), people.add(Strict("y"))
    assert people.get(named).value == Strict("x", {1, "a"})
    with replica.edit(named) as editor:
        editor["name"] = "bad"
    with replica.edit(held) as editor:
        editor.add("things", {"k": 1})
    for record, told in ((named, "no such name"), (held, "no set of Python")):
        with pytest.raises(InvalidValue, match=told):
            _ = people.get(record).value
        with pytest.raises(InvalidValue, match=told), people.edit(record):
            pass

    @dataclass
    class Unknown:
        name: "Nowhere"  # type: ignore[name-defined]  # noqa: F821

    with pytest.raises(InvalidSchema, match="Nowhere"):
        schema_for(Unknown, "unknowns")


def test_other_mistakes_are_told(people, replica):
    with pytest.raises(UnknownCollection):
        replica.typed(Person, "people")
    with pytest.raises(InvalidSchema, match="neither a dataclass"):
        schema_for(int, "numbers")
    with pytest.raises(InvalidSchema, match="states"):
        schema_for(dataclass(type("X", (), {"__annotations__": {"s": Annotated[str, merged("stage")]}})), "xs")
    with pytest.raises(UsageError, match="no record of"):
        people.get("customers/a")
    with pytest.raises(UnknownField):
        people.find(tgas="vip")
    assert (replica.typed(Guest, "customers").name, list(people.find("nobody"))) == ("customers", [])


def test_it_is_used_from_a_loop_as_from_plain_code_and_by_a_running_notebook(tmp_path):
    with Replica.create(tmp_path / "anna", "anna", [PEOPLE]) as replica:
        people = replica.typed(Person, "people")

        async def cell() -> list[tuple[str, int]]:  # what a cell of a notebook runs: a loop is there already
            async with people.new(Person("Ann")) as made:
                made.add("tags", "vip")
            async with people.edit(made.record) as person:
                person.visits += 1
            with people.edit(made.record) as person:
                person.visits += 1
            assert people.get(made.record).value.tags == {"vip"}
            assert [view.record async for view in replica.list("people")] == [made.record]
            return [(each.value.name, each.value.visits) async for each in people.find(tags="vip")]

        assert asyncio.run(cell()) == [("Ann", 2)]
        assert asyncio.run(cell()) == [("Ann", 4)]  # in the next loop; one key is one record


BESIDE = """
import sys
from dataclasses import dataclass
from crdt_sync import Replica

@dataclass
class Customer:
    name: str
    visits: int = 0

with Replica.open(sys.argv[1]) as replica:
    assert replica.owner is not None
    customers = replica.typed(Customer, "customers")
    with customers.edit(customers.add(Customer("Ann", 2))) as customer:
        customer.visits += 3
"""


def test_a_program_beside_the_owner_of_the_store_has_the_same(tmp_path):
    with Replica.create(tmp_path / "anna", "anna", [bundled_schema("customers")]) as owner:
        subprocess.run([sys.executable, "-c", BESIDE, str(tmp_path / "anna")], cwd=ROOT, check=True)
        assert [each.value for each in owner.typed(Guest, "customers").list()] == [Guest(name="Ann", visits=5)]


SAMPLE = """
from dataclasses import dataclass, field, replace
from crdt_sync import Replica

@dataclass
class Customer:
    name: str
    city: str | None = None
    visits: int = 0
    tags: set[str] = field(default_factory=set)

def right(replica: Replica) -> int:
    customers = replica.typed(Customer, "customers")
    record = customers.add(Customer("Ann", city="Bonn"))
    with customers.edit(record) as customer:
        customer.visits += 1
        customer.tags.add("vip")
    return sum(found.value.visits for found in customers.find(city="Bonn"))

async def right_too(replica: Replica) -> None:
    async with replica.typed(Customer, "customers").edit("customers/a") as customer:
        customer.city = None
    async for found in replica.typed(Customer, "customers").list():
        print(found.value.name.upper())

def wrong(replica: Replica) -> None:
    customers = replica.typed(Customer, "customers")
    with customers.edit("customers/a") as customer:
        customer.visits = "many"
        customer.nmae = "Ann"
        customer.tags.add(1)
    print(customers.get("customers/a").value.city.upper())
    customers.add("Ann")
"""


def test_mypy_tells_wrong_uses_from_right_ones(tmp_path):
    (tmp_path / "sample.py").write_text(SAMPLE)
    command = [sys.executable, "-m", "mypy", "--strict", "--cache-dir", str(ROOT / ".mypy_cache")]
    done = subprocess.run(
        [*command, "--config-file", str(ROOT / "pyproject.toml"), str(tmp_path / "sample.py")],
        cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    lines = SAMPLE.splitlines()
    told = [line.split(":") for line in done.stdout.splitlines() if ": error:" in line]
    assert [lines[int(line[1]) - 1].strip() for line in told] == [
        'customer.visits = "many"',
        'customer.nmae = "Ann"',
        "customer.tags.add(1)",
        'print(customers.get("customers/a").value.city.upper())',
        'customers.add("Ann")',
    ], done.stdout
