"""Policies drawn at random, over records that show a region, an owner and a stage."""

import random

from crdt_sync.records import parse_schema

SCHEMA = parse_schema(
    """
collection = "customers"
version = 1
[fields.name]
[fields.region]
filter = true
[fields.owner]
filter = true
[fields.stage]
kind = "stage"
states = ["lead", "won"]
filter = true
""",
    "grants",
)
REGIONS = ("North", "South", "West")
USERS = ("anna", "ben", "chief")
FIELDS = ("region", "owner", "stage", "name")
_GRANT = """[[role.{role}.grant]]
collection = "customers"
{where}
read = ["*"]
write = {write}
operations = ["create", "edit", "import"]
"""
_WHERES = (
    "region in user.regions",
    "region in user.regions or owner == user.id",
    'region in user.regions and stage == "lead" or owner == user.id',
    'owner == user.id or stage == "won"',
    'stage == "lead" and region == "North"',
)


def draw_policy(rng: random.Random, writes: tuple[str, ...] = ('["*"]',)) -> str:
    """A policy of three people, of whom `chief` may do everything; the others may write one of `writes` each."""
    where = [f"where = '{rng.choice(_WHERES)}'" for _ in USERS]
    text = "".join(
        _GRANT.format(role=f"r{n}", where=each, write=writes[0] if len(writes) == 1 else rng.choice(writes))
        for n, each in enumerate(where[:2])
    )
    text += _GRANT.format(role="all", where="", write='["*"]')
    for number, user in enumerate(USERS[:2]):
        regions = rng.sample(REGIONS, rng.randint(1, 2))
        text += f'[user.{user}]\nrole = "r{number}"\nattributes = {{ regions = {regions} }}\n'.replace("'", '"')
    text += '[user.chief]\nrole = "all"\n'
    if rng.random() < 0.2:
        text = text.replace('role = "r0"\n', 'role = "r1"\n')
    return text


def draw_value(rng: random.Random, field: str) -> str:
    """A value of a field of such a record."""
    match field:
        case "region":
            return rng.choice(REGIONS)
        case "owner":
            return rng.choice(("anna", "ben", ""))
        case "stage":
            return rng.choice(("lead", "won"))
    return f"n{rng.randrange(1000)}"
