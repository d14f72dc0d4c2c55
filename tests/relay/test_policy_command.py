"""crdt-relay policy: what an operator sees, and a program."""

import json

import pytest

from crdt_relay.cli import main
from crdt_sync.limits import POLICY_BYTES_MAX

POLICY = """
[[role.sales.grant]]
collection = "customers"
where = "region in user.regions"
read = ["*"]
write = ["phone"]
operations = ["edit"]

[user.anna]
role = "sales"
attributes = { regions = "North" }
"""
SCHEMA = 'collection = "customers"\nversion = 1\n[fields.phone]\n[fields.region]\nfilter = true\n'


@pytest.fixture
def run(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "policy.toml").write_text(POLICY, encoding="utf-8")
    (tmp_path / "customers.toml").write_text(SCHEMA, encoding="utf-8")

    def run(*words):
        capsys.readouterr()
        code = main(["policy", *words])
        printed = capsys.readouterr()
        return code, printed.out, printed.err

    return run


def test_a_sound_policy_is_told_by_role(run):
    code, out, err = run("check", "policy.toml", "--schema", "customers.toml")
    assert (code, err) == (0, "")
    assert "sales (anna)\n  customers, where region in user.regions (line 2)\n    reads *" in out
    assert out.endswith("The policy is valid.\n")


def test_without_schemas_it_says_that_names_were_not_checked(run):
    code, _, err = run("check", "policy.toml")
    assert code == 0
    assert "--schema FILE" in err


def test_programs_are_told_the_same(run):
    code, out, _ = run("check", "policy.toml", "--json")
    assert code == 0
    (grant,) = json.loads(out)["roles"]["sales"]["grants"]
    assert grant == {
        "line": 2,
        "collection": "customers",
        "where": "region in user.regions",
        "read": ["*"],
        "mask": {},
        "write": ["phone"],
        "operations": ["edit"],
    }


def test_all_problems_are_named_with_their_lines_and_what_is_meant(run, tmp_path):
    wrong = (
        POLICY.replace('"edit"', '"edti"').replace("region in", "region is").replace('role = "sales"', 'role = "sale"')
    )
    (tmp_path / "policy.toml").write_text(wrong, encoding="utf-8")
    code, out, err = run("check", "policy.toml")
    assert (code, out) == (2, "")
    assert "policy.toml: 3 problems" in err
    for line, what, hint in ((4, "'is'", "=="), (7, "'edti'", "edit"), (10, "'sale'", "sales")):
        assert any(told.startswith(f"line {line}: ") and what in told and hint in told for told in err.splitlines()), (
            err
        )
    code, _, err = run("check", "policy.toml", "--json")
    told = json.loads(err)
    assert (code, told["error"]) == (2, "invalid_policy")
    assert [problem["line"] for problem in told["problems"]] == [4, 7, 10]


def test_names_are_checked_against_schemas(run, tmp_path):
    (tmp_path / "customers.toml").write_text(SCHEMA.replace("filter = true", ""), encoding="utf-8")
    code, _, err = run("check", "policy.toml", "--schema", "customers.toml")
    assert code == 2
    assert "line 2: 'where': 'region' is no filter field of 'customers'. Add 'filter = true'" in err


def test_what_is_hardly_meant_is_remarked_and_passes(run, tmp_path):
    (tmp_path / "policy.toml").write_text(POLICY.replace("regions =", "region ="), encoding="utf-8")
    code, _, err = run("check", "policy.toml")
    assert code == 0
    assert "user.regions, which no user of role 'sales' has. Did you mean region?" in err
    code, _, err = run("check", "policy.toml", "--json")
    assert json.loads(err.splitlines()[0])["line"] == 2


def test_a_difference_is_told_for_whom(run, tmp_path):
    newer = POLICY.replace('["edit"]', '["edit", "delete"]').replace('"North"', '["North", "South"]')
    (tmp_path / "newer.toml").write_text(newer + '\n[user.ben]\nrole = "sales"\n', encoding="utf-8")
    code, out, _ = run("diff", "policy.toml", "newer.toml")
    assert code == 0
    assert out.splitlines() == [
        "user ben is new",
        "anna:",
        "  customers: may now delete",
        "  customers: has regions: 'South'",
    ]
    code, out, _ = run("diff", "policy.toml", "newer.toml", "--json")
    assert json.loads(out)["effects"][0]["users"] == ["anna"]
    (tmp_path / "newer.toml").write_text(POLICY.replace('where = "region in user.regions"', ""), encoding="utf-8")
    assert run("diff", "policy.toml", "newer.toml")[1].splitlines()[1:] == [
        "  customers: now for all records",
        "  customers: no longer for region in user.regions",
    ]
    assert run("diff", "policy.toml", "policy.toml")[1] == "Nothing changes for anybody.\n"


@pytest.mark.parametrize(
    ("content", "named"),
    [(None, "cannot be read"), (b"\xff", "not UTF-8"), (b"#" * (POLICY_BYTES_MAX + 1), "1,048,577 bytes")],
)
def test_a_file_that_is_no_policy_is_refused(run, tmp_path, content, named):
    if content is not None:
        (tmp_path / "other.toml").write_bytes(content)
    code, _, err = run("check", "other.toml")
    assert code == 2
    assert named in err
