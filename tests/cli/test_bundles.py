"""`crdt-sync bundle`: what people and programs are told, and a device that is killed while it applies one."""

import itertools
import json
import random
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from crdt_bench.contents import make_device
from crdt_sync.replica import Replica
from crdt_sync.storage import LmdbStore

from .conftest import Run, finish, spawn, start

Made = Callable[..., str]
KILLS = 6


@pytest.fixture
def other(tmp_path: Path, run: Run) -> Path:
    """The store of a second device."""
    path = tmp_path / "ben"
    assert run("init", "ben", "--store", path).code == 0
    return path


def test_without_a_command_the_help_is_all_that_is_said(run: Run) -> None:
    result = run("bundle")
    assert (result.code, result.err) == (2, "")
    assert "create" in result.out


def test_a_bundle_goes_there_and_back(run: Run, made: Made, other: Path, tmp_path: Path) -> None:
    made("name=Müller")
    bundle, back = tmp_path / "a.bundle", tmp_path / "b.bundle"
    result = run("bundle", "create", bundle)
    assert result.out == f"1 record in {bundle}, for anybody, {bundle.stat().st_size} bytes, not protected.\n"
    assert "crdt-sync bundle apply a.bundle" in result.err
    assert "no token" in result.err
    result = run("bundle", "apply", bundle, "--store", other)
    assert (result.code, result.out) == (0, "1 record from anna: 1 new, 0 here already.\n")
    result = run("bundle", "apply", bundle, "--store", other)
    assert (result.code, result.out) == (0, "Nothing new. 1 record from anna: 0 new, 1 here already.\n")
    assert run("bundle", "create", back, "--for", "anna", "--store", other).code == 0
    assert run("bundle", "apply", back).code == 0
    record = made("name=Meier")
    data = run("bundle", "create", tmp_path / "c.bundle", "--for", "ben", "--json").object
    assert (data["records"], data["from"], data["base"], data["head"]) == (1, "anna", 1, 2)
    data = run("bundle", "apply", tmp_path / "c.bundle", "--store", other, "--json").object
    assert (data["received"], data["obstacle"], data["replica"]) == (1, None, data["replica"])
    assert run("get", record, "--store", other).code == 0


def test_what_is_of_no_customer_is_counted_apart(run: Run, store: Path, tmp_path: Path) -> None:
    table, bundle = tmp_path / "people.csv", tmp_path / "a.bundle"
    table.write_text("Name,City\nAnn,Bonn\nBen,Kiel\n", encoding="utf-8")
    assert run("import", table, "-c", "customers").code == 0
    made = run("bundle", "create", bundle)
    assert "3 records, with 1 on how collections are defined and what was imported, in" in made.out
    assert run("bundle", "create", bundle, "--force", "--json").object["reserved"] == 1


def test_a_bundle_of_another_space_is_taken_only_where_that_is_said(
    run: Run, made: Made, store: Path, other: Path, tmp_path: Path
) -> None:
    record, bundle = made("name=Müller"), tmp_path / "a.bundle"
    spaces = {store: b"A" * 16, other: b"B" * 16}
    for path, space in spaces.items():
        with LmdbStore.open(path) as opened:
            opened.join(space)
    assert run("bundle", "create", bundle).code == 0
    refused = run("bundle", "apply", bundle, "--store", other, "--json")
    assert refused.code == 2
    told = json.loads(refused.err.splitlines()[-1])
    assert (told["error"], "--other-space" in told["hint"]) == ("foreign_bundle", True)
    assert run("list", "--store", other, "--json").objects == []
    taken = run("bundle", "apply", bundle, "--other-space", "--store", other)
    assert (taken.code, taken.out) == (0, "1 record from anna: 1 new, 0 here already.\n")
    assert run("get", record, "--store", other).code == 0
    assert run("space", "--store", other, "--json").object == {"space": spaces[other].hex()}  # it has not moved


def test_a_status_tells_what_the_next_bundle_would_hold(run: Run, made: Made, other: Path, tmp_path: Path) -> None:
    made("name=Müller")
    bundle, back = tmp_path / "a.bundle", tmp_path / "b.bundle"
    run("bundle", "create", bundle)
    run("bundle", "apply", bundle, "--store", other)
    (met,) = run("status", "--store", other, "--json").object["by_bundle"]
    assert (met["name"], met["to_send"]) == ("anna", 0)  # all that is here came from anna
    assert run("bundle", "create", back, "--for", "anna", "--store", other, "--json").object["records"] == 0
    run("bundle", "apply", back)
    (met,) = run("status", "--json").object["by_bundle"]
    assert (met["name"], met["to_send"], met["to_send_bytes"]) == ("ben", 0, 0)
    made("name=Meier")
    shown = run("status").out
    assert "ben" in shown
    assert "at most 1 (about " in shown


def test_a_stored_token_protects_and_another_is_told_as_such(run: Run, made: Made, other: Path, tmp_path: Path) -> None:
    made("name=Müller")
    secret = tmp_path / "secret"
    secret.write_text("the token\n")
    assert run("relay", "ws://127.0.0.1:1", "--token-file", secret).code == 0
    bundle = tmp_path / "a.bundle"
    assert "protected by the token" in run("bundle", "create", bundle).out
    assert b"M\xc3\xbcller" not in bundle.read_bytes()
    for arguments, reason in (((), "was not given"), (("--token", "x"), "another token")):
        result = run("bundle", "apply", bundle, "--store", other, *arguments)
        assert (result.code, result.err.startswith("Error (bundle_locked): ")) == (2, True)
        assert reason in result.err
        assert "--token-file" in result.err
    assert run("bundle", "apply", bundle, "--store", other, "--token-file", secret).code == 0
    plain = tmp_path / "plain.bundle"
    assert "not protected" in run("bundle", "create", plain, "--plain").out
    result = run("bundle", "apply", plain)
    assert (result.code, "--plain" in result.err) == (2, True)
    assert run("bundle", "apply", plain, "--plain").code == 0
    assert run("bundle", "create", tmp_path / "x", "--plain", "--token", "x").code == 2


def test_a_damaged_bundle_is_refused_with_the_reason(run: Run, made: Made, other: Path, tmp_path: Path) -> None:
    made("name=Müller")
    bundle = tmp_path / "a.bundle"
    run("bundle", "create", bundle)
    bundle.write_bytes(bundle.read_bytes()[:-1])
    for command in (("apply", bundle, "--store", other), ("inspect", bundle)):
        result = run("bundle", *command)
        assert result.code == 2
        assert "a.bundle is damaged and was refused as a whole: it ends too early" in result.err
        assert "Copy or send the bundle again." in result.err
    assert run("list", "--store", other, "--json").out == ""


def test_a_file_that_is_there_is_kept(run: Run, store: Path, tmp_path: Path) -> None:
    bundle = tmp_path / "a.bundle"
    bundle.write_text("mine")
    result = run("bundle", "create", bundle)
    assert (result.code, bundle.read_text()) == (2, "mine")
    assert "--force" in result.err
    assert run("bundle", "create", bundle, "--force").code == 0


def test_an_unknown_partner_is_told_with_those_that_are_known(run: Run, store: Path, tmp_path: Path) -> None:
    result = run("bundle", "create", tmp_path / "a.bundle", "--for", "ben")
    assert (result.code, "no partner 'ben' is known here" in result.err) == (2, True)
    assert "without --for" in result.err


def test_a_bundle_that_waits_for_another_ends_with_a_code_of_its_own(
    run: Run, made: Made, other: Path, tmp_path: Path
) -> None:
    record = made("name=Müller")
    first, back, second = (tmp_path / name for name in ("1", "2", "3"))
    run("bundle", "create", first)
    third = tmp_path / "carla"
    run("init", "carla", "--store", third)
    run("bundle", "apply", first, "--store", third)
    run("bundle", "create", back, "--for", "anna", "--store", third)
    run("bundle", "apply", back)
    run("set", record, "name=Meier")
    run("bundle", "create", second, "--for", "carla")
    result = run("bundle", "apply", second, "--store", other)
    assert result.code == 7
    assert "(gap)" in result.err
    assert "apply the bundle before this one, or sync" in result.err
    assert "1 left out" in result.out


def test_a_bundle_is_inspected_without_a_store(run: Run, made: Made, tmp_path: Path) -> None:
    record = made("name=Müller")
    bundle = tmp_path / "a.bundle"
    run("bundle", "create", bundle, "--token", "x")
    nowhere = ("--store", tmp_path / "nowhere")
    shown = run("bundle", "inspect", bundle, *nowhere)
    assert shown.code == 0
    assert "anna" in shown.out
    assert "the token is needed" in shown.out
    found = run("bundle", "inspect", bundle, "--json", *nowhere).object
    assert (found["records"], found["opened"], found["protected"], found["for"]) == (1, False, True, None)
    assert run("bundle", "inspect", bundle, "--json", "--token", "x").object["opened"] is True
    assert run("bundle", "inspect", bundle, "--records", *nowhere).code == 2
    listed = run("bundle", "inspect", bundle, "--records", "--json", "--token", "x").object
    assert listed["record"] == record
    assert record[:14] in run("bundle", "inspect", bundle, "--records", "--token", "x").out


def test_killed_at_any_moment_while_applying_a_device_ends_with_everything(tmp_path: Path) -> None:
    """Kills at drawn moments, each followed by another try on the same store; the last one is left alone."""
    rng = random.Random(7)
    source, target, bundle = tmp_path / "anna", tmp_path / "ben", tmp_path / "a.bundle"
    make_device(source, records=900)
    with Replica.open(source) as replica:
        wanted = replica.receipt()
    assert spawn("init", "ben", "--store", target).code == 0
    assert spawn("bundle", "create", bundle, "--store", source).code == 0
    command = ("bundle", "apply", bundle, "--store", target, "--json")
    begun = time.monotonic()
    whole = spawn(*command, "--store", tmp_path / "none")  # how long a start takes, without a store
    assert whole.code == 3
    start_s = time.monotonic() - begun
    killed = 0
    counts = [0]
    for _ in range(KILLS):
        process = start(*command)
        time.sleep(rng.uniform(0.5, 4) * start_s)  # the drawn moment of the kill, not a wait for an outcome
        process.kill()
        result = finish(process)
        killed += result.code == -9
        with Replica.open(target) as replica:
            counts.append(replica.count())
            assert not replica.store.verify().findings
    assert counts == sorted(counts)  # nothing that was there is lost
    assert killed > 0
    done = finish(start(*command))
    assert done.code == 0, done.err
    assert done.object["obstacle"] is None
    with Replica.open(target) as replica:
        held = replica.receipt()
    assert (held.count, held.root) == (wanted.count, wanted.root)
    if any(0 < count < wanted.count for count in counts):
        assert done.object["resumed"] > 0 or counts[-1] == wanted.count


def test_in_a_ring_the_next_device_is_known_through_the_last(run: Run, made: Made, other: Path, tmp_path: Path) -> None:
    """anna to ben to carla to anna: in the second round anna names ben by his id."""
    carla = tmp_path / "carla"
    assert run("init", "carla", "--store", carla).code == 0
    made("name=Müller")
    stores = (None, other, carla, None)
    for number, (here, there) in enumerate(itertools.pairwise(stores)):
        at = (["--store", here] if here else [], ["--store", there] if there else [])
        assert run("bundle", "create", tmp_path / f"{number}.bundle", *at[0]).code == 0
        assert run("bundle", "apply", tmp_path / f"{number}.bundle", *at[1]).code == 0
    ben = run("status", "--json", "--store", other).object["replica"]
    assert f"{ben[:8]} (through carla)" in run("status").out
    created = run("bundle", "create", tmp_path / "again.bundle", "--for", ben[:8])
    assert "0 records" in created.out
    assert "carla" in created.err
    assert run("bundle", "apply", tmp_path / "again.bundle", "--store", other).code == 0
    hint = run("bundle", "create", tmp_path / "no.bundle", "--for", "dora").err
    assert f"{ben[:12]} (through carla)" in hint
