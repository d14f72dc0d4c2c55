"""The three policies that ship as examples, with their schemas: user, record, field, and what is allowed."""

from collections.abc import Mapping
from pathlib import Path

import pytest

from crdt_sync.policy.checking import check
from crdt_sync.policy.model import Policy
from crdt_sync.policy.reading import parse_policy
from crdt_sync.policy.remarks import remarks
from crdt_sync.policy.rights import rights_of
from crdt_sync.policy.schemas import section_of
from crdt_sync.records import Schema, load_schema

FOLDER = Path(__file__).resolve().parents[2] / "docs" / "policies"
EXAMPLES = ("clinic", "sales", "shops")

RECORDS: Mapping[str, tuple[str, Mapping[str, object]]] = {
    "east": ("customers", {"region": "华东", "owner": "ben", "stage": "won"}),
    "south": ("customers", {"region": "South", "owner": "ben", "stage": "won"}),
    "west": ("customers", {"region": "West", "owner": "anna", "stage": "proposal"}),
    "free": ("customers", {"region": "West", "owner": None, "stage": "lead"}),
    "lost": ("customers", {"region": "West", "owner": None, "stage": "lost"}),
    "heart": ("patients", {"ward": "Cardiology", "doctor": "Dr. Weiß", "discharged": False}),
    "home": ("patients", {"ward": "Cardiology", "doctor": None, "discharged": True}),
    "child": ("patients", {"ward": "Paediatrics", "doctor": "Dr. Weiß", "discharged": False}),
    "bonn": ("customers", {"shop": "Bonn", "vip": False}),
    "köln": ("customers", {"shop": "Ko\u0308ln", "vip": None}),  # typed on another keyboard
    "ulm vip": ("customers", {"shop": "Ulm", "vip": True}),
    "everywhere": ("customers", {"shop": None, "vip": None}),
    "open": ("orders", {"shop": "Bonn", "state": "open"}),
    "handed": ("orders", {"shop": "Bonn", "state": "handed over"}),
}

# read as it is: r, masked: m, written: w; nothing: the record is not held
TABLE = {
    "sales": """
        anna   east    name:rw  region:r  notes:rw  iban:m  credit_limit:r    create edit resolve export
        anna   south
        anna   west    name:rw  iban:m  phone:rw    create edit resolve export
        anna   free    name:r  owner:rw  stage:r  phone:m  notes:-  iban:-    edit
        anna   lost
        ben    east    name:rw    create edit resolve export
        ben    free    phone:m    edit
        chen   lost    owner:rw  iban:rw    create edit delete restore resolve import export merge history
        dora   east
        nobody east
    """,
    "clinic": """
        Dr.Weiß  heart  name:rw  diagnosis:rw  care_notes:rw  invoices:-    create edit resolve history
        Dr.Weiß  home   diagnosis:rw    create edit resolve history
        Dr.Weiß  child  medication:rw   create edit resolve history
        nora     heart  name:r  phone:m  care_notes:rw  diagnosis:-  insurance:-  invoices:-    edit
        nora     home
        nora     child
        kai      child  name:r  insurance:m  invoices:rw  paid:rw  diagnosis:-  care_notes:-  ward:r    edit export
    """,
    "shops": """
        till-1  bonn     name:rw  phone:m  shop:r  wishes:rw    create edit
        till-1  köln
        till-2  köln     name:rw    create edit
        till-1  open     state:rw  items:rw  margin:-    create edit
        till-1  handed
        maria   köln     phone:rw    create edit delete restore resolve merge
        maria   ulm_vip  phone:r  name:r
        maria   everywhere  name:r
        maria   handed   state:rw  margin:r    create edit delete restore resolve
        otto    handed   state:r  margin:r    export history
        otto    bonn     phone:rw    create edit delete restore resolve import export merge erase history
    """,
}
ROWS = [(example, line.strip()) for example, table in TABLE.items() for line in table.strip().splitlines()]


def loaded(example: str) -> tuple[Policy, dict[str, Schema]]:
    folder = FOLDER / example
    schemas = [load_schema(path) for path in sorted(folder.glob("*.toml")) if path.name != "policy.toml"]
    policy = parse_policy((folder / "policy.toml").read_text(encoding="utf-8"), f"{example}/policy.toml")
    return policy, {schema.collection: schema for schema in schemas}


@pytest.mark.parametrize("example", EXAMPLES)
def test_an_example_fits_its_schemas_and_leaves_nothing_to_remark(example):
    policy, schemas = loaded(example)
    assert check(policy, schemas) == []
    assert remarks(policy) == []


@pytest.mark.parametrize(("example", "row"), ROWS)
def test_an_example_allows_what_it_says(example, row):
    policy, schemas = loaded(example)
    user, record, *words = row.split()
    collection, values = RECORDS[record.replace("_", " ")]
    access = rights_of(policy, user.replace("Dr.W", "Dr. W")).on(collection, values)
    fields = dict(word.split(":") for word in words if ":" in word)
    assert {each for each in words if ":" not in each} == {each for grant in access.grants for each in grant.operations}
    assert access.held == bool(words)
    for field, told in fields.items():
        section = section_of(schemas[collection], field)
        sight = {None: "-", "clear": "r"}.get(access.sight(field, section), "m")
        assert sight + "w" * access.writes(field, section) == told, field


def test_every_filter_field_of_a_record_above_is_one_of_its_schema():
    schemas = {(example, schema.collection): schema for example in EXAMPLES for schema in loaded(example)[1].values()}
    filters = [{name for name, spec in schema.fields.items() if spec.filter} for schema in schemas.values()]
    assert all(values.keys() in filters for _, values in RECORDS.values())
