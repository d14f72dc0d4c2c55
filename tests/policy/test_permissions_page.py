"""What docs/permissions.md says is so."""

import re
import shutil
from pathlib import Path

import pytest

from crdt_relay.cli import main
from crdt_sync import limits
from crdt_sync.errors import InvalidPolicy
from crdt_sync.policy.masks import MASKS
from crdt_sync.policy.model import OPERATIONS
from crdt_sync.policy.reading import parse_policy
from crdt_sync.policy.rights import rights_of
from crdt_sync.policy.where import parse_where

DOCS = Path(__file__).resolve().parents[2] / "docs"
TEXT = (DOCS / "permissions.md").read_text(encoding="utf-8")


def rows(heading: str) -> dict[str, str]:
    table = TEXT.split(f"\n## {heading}\n", 1)[1].split("\n## ", 1)[0]
    cells = [line.strip("|").split("|") for line in table.splitlines() if line.startswith("|")]
    return {row[0].strip(): row[1].strip() for row in cells[2:]}


def example() -> str:
    found = re.search(r"^```toml\n(.*?)^```$", TEXT, re.MULTILINE | re.DOTALL)
    assert found is not None
    return found[1]


def test_the_example_is_a_policy_that_does_what_it_says():
    policy = parse_policy(example(), "example")
    access = rights_of(policy, "anna").on("customers", {"region": "华东", "owner": None})
    seen = [access.sight(*each) for each in (("name", ""), ("notes", "details"), ("iban", "bank"))]
    assert seen == ["clear", "clear", None]
    assert not rights_of(policy, "ben").on("customers", {"region": "华东", "owner": None}).held
    assert rights_of(policy, "ben").on("customers", {"region": None, "owner": "ben"}).allows("edit")
    assert not rights_of(policy, "dora").on("customers", {"region": None, "owner": "dora"}).held


def test_its_commands_run(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    sales = DOCS / "policies" / "sales"
    shutil.copy(sales / "customers.toml", tmp_path)
    (tmp_path / "policy.toml").write_text(example(), encoding="utf-8")
    shutil.copy(sales / "policy.toml", tmp_path / "newer.toml")
    commands = re.findall(r"^crdt-relay (.*)$", TEXT, re.MULTILINE)
    assert len(commands) == 2
    printed = []
    for command in commands:
        assert main(command.split()) == 0, capsys.readouterr().err
        printed.append(capsys.readouterr().out)
    assert "sales (anna, ben)" in printed[0]
    assert "user chen is new" in printed[1]


def test_its_settings_operations_and_masks_are_those_of_the_code():
    grants = rows("Grants")
    assert set(re.findall(r"`(\w+)`", grants["`operations`"])) == set(OPERATIONS)
    assert [name for name in re.findall(r"`(\w+)`", grants["`mask`"]) if name in MASKS] == list(MASKS)
    for heading, table in (("Grants", "[[role.r.grant]]"), ("Users", "[user.u]")):
        for setting in rows(heading):
            name = setting.strip("`")
            with pytest.raises(InvalidPolicy, match=f"no setting '{name}x'. Did you mean {name}"):
                parse_policy(f"{table}\n{name}x = 1", "x")


def test_its_conditions_are_read():
    for cell in rows("Which records"):
        for where in re.findall(r"`([^`]+)`", cell):
            assert parse_where(where)


def test_its_limits_are_those_of_the_code():
    told = [int(each.replace(",", "")) for each in rows("Limits").values()]
    assert told == [
        limits.POLICY_BYTES_MAX,
        limits.ROLES_MAX,
        limits.ROLE_GRANTS_MAX,
        limits.POLICY_USERS_MAX,
        limits.LOGIN_MAPPED_MAX,
        limits.LOGIN_VALUES_MAX,
        limits.LOGIN_VALUE_LENGTH_MAX,
        limits.ATTRIBUTES_MAX,
        limits.ATTRIBUTE_VALUES_MAX,
        limits.WHERE_LENGTH_MAX,
        limits.CONDITIONS_MAX,
        limits.FILTER_VALUE_LENGTH_MAX,
    ]
