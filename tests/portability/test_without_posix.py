"""A device needs nothing that only POSIX systems have, neither at import nor on its ordinary paths."""

import json
import subprocess
import sys
from pathlib import Path

from crdt_sync import Replica
from crdt_sync.replica.owner.serving import Server
from tests.end_to_end.conftest import RelayThread

PROGRAM = Path(__file__).with_name("without_posix.py")


def run(*commands: list[object], code: int = 0) -> list[str]:
    """What each command said; all must end with `code`."""
    ran = subprocess.run(
        [sys.executable, PROGRAM],
        input=json.dumps([[str(argument) for argument in command] for command in commands]),
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert ran.returncode == 0, ran.stderr
    results = [json.loads(line) for line in ran.stdout.splitlines()]
    for command, (ended, said) in zip(commands, results, strict=True):
        assert ended == code, f"{command}: {said}"
    return [said for _, said in results]


def test_two_devices_work_with_a_relay_and_by_bundle(tmp_path: Path) -> None:
    anna, ben, table = tmp_path / "anna", tmp_path / "ben", tmp_path / "customers.csv"
    table.write_text("Customer ID,Name,City\n1,Ada,London\n2,Grace,New York\n", encoding="utf-8")
    with RelayThread(tmp_path / "relay") as relay:
        said = run(
            ["--help"],
            ["init", "anna", "--store", anna, "--relay", relay.url],
            ["init", "ben", "--store", ben, "--relay", relay.url],
            ["import", table, "--key", "Customer ID", "--store", anna],
            ["sync", "--store", anna],
            ["sync", "--store", ben],
            ["set", "customers", "name=Linus", "tags+=vip", "visits+=1", "--store", ben],
            ["bundle", "create", tmp_path / "all.bundle", "--store", ben],
            ["bundle", "apply", tmp_path / "all.bundle", "--store", anna],
            ["token", "--new", "--store", anna],
            ["export", tmp_path / "out.csv", "--store", anna],
            ["verify", "--store", anna],
            ["conflicts", "--store", anna],
            ["status", "--store", anna],
            ["list", "customers", "--json", "--store", anna],
        )
    assert {"Ada", "Grace", "Linus"} == {json.loads(line)["fields"]["name"] for line in said[-1].splitlines()}
    assert "New York" in (tmp_path / "out.csv").read_text(encoding="utf-8")


def test_a_store_is_still_opened_by_one_process_at_a_time(tmp_path: Path) -> None:
    run(["init", "anna", "--store", tmp_path / "anna"])
    with Replica.open(tmp_path / "anna"):
        (said,) = run(["list", "customers", "--store", tmp_path / "anna"], code=3)
    assert "in use by process" in said


def test_a_command_goes_through_the_program_that_owns_the_store(tmp_path: Path) -> None:
    run(["init", "anna", "--store", tmp_path / "anna"])
    with Replica.open(tmp_path / "anna", share=False) as replica:
        server = Server.start(replica, tmp_path / "anna", unix=False)
        run(
            ["set", "customers/us", "name=Us", "--create", "--store", tmp_path / "anna"],
            ["get", "customers/us", "--store", tmp_path / "anna"],
        )
        assert replica.get("customers/us")["name"] == "Us"
        server.close()


def test_what_needs_more_says_so(tmp_path: Path) -> None:
    (said,) = run(["demo"], code=2)
    assert "(not_on_this_system)" in said
