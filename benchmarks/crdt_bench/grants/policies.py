"""Policies drawn at random, over records that show a region, an owner and a stage."""

import random

from crdt_sync.records import parse_schema

_FIELDS = """
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
"""
SCHEMA = parse_schema(_FIELDS, "grants")
MASKED = parse_schema(f'{_FIELDS}[fields.iban]\nsection = "bank"\n', "grants")
"""The same with a field that some see in part, and some not at all."""
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
_OF_BANK = (
    "",
    'read = ["*", "bank"]\nwrite = ["bank"]\noperations = ["edit"]\n',
    'read = ["*", "iban"]\nmask = { iban = "last4" }\n',
    'read = ["*", "iban"]\nmask = { iban = "phone" }\n',
)
"""What a role may see of that field, in a grant of its own."""
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


def with_masks(rng: random.Random, text: str) -> str:
    """That policy, in which each role but `all` sees the field `iban` of `MASKED` whole, in part or not at all."""
    for role in ("r0", "r1"):
        if chosen := rng.choice(_OF_BANK):
            where = rng.choice(("", f"where = '{rng.choice(_WHERES)}'"))
            grant = f'[[role.{role}.grant]]\ncollection = "customers"\n{where}\n{chosen}'
            text = text.replace("[[role.all.grant]]", f"{grant}[[role.all.grant]]", 1)
    head, mark, rest = text.partition("[[role.all.grant]]")
    return head + mark + rest.replace('["*"]', '["*", "bank"]', 2)


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
