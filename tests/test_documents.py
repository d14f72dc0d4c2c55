"""What README.md and docs/ say is so: examples run, links lead somewhere, and tables agree with the code."""

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import fields
from pathlib import Path
from typing import Any, get_args

import click
import pytest
from click.testing import CliRunner

import crdt_sync
from crdt_bench import cli as bench_cli
from crdt_bench.campaign.command import PARTS
from crdt_bench.simulator.scenario import FAULTS
from crdt_relay import cli as relay_cli
from crdt_relay import control, observability
from crdt_relay.settings import Settings
from crdt_sync import Replica, Schema, limits, load_schema
from crdt_sync.cli import partners
from crdt_sync.cli.background import LOG_NAME
from crdt_sync.cli.main import application, hoisted
from crdt_sync.cli.main import main as device
from crdt_sync.errors import InvalidValue
from crdt_sync.exchange.column_reading import ColumnReading
from crdt_sync.exchange.conventions import FOUND_OUT
from crdt_sync.protocol.messages import VerdictCode
from crdt_sync.records import FieldSpec
from crdt_sync.records.field_settings import Type
from crdt_sync.records.kinds import KINDS
from crdt_sync.replica.owner import local
from crdt_sync.runtime.certificate import CERTIFICATE_FILE
from crdt_sync.storage.lmdb.tables import PlaceTables, Tables

from .cli.conftest import Lasting
from .end_to_end.conftest import RelayThread

ROOT = Path(__file__).resolve().parents[1]
_TOP = ("README.md", "CHANGELOG.md", "HACKING.md", "SECURITY.md")
DOCUMENTS = sorted([*(ROOT / name for name in _TOP), *(ROOT / "docs").rglob("*.md")])
SOURCES = [
    path.relative_to(ROOT).as_posix()
    for folder in (".build", "crdt_sync", "relay", "benchmarks", "tests", "docs")
    for path in (ROOT / folder).rglob("*")
]
DEFAULT_RELAY = "ws://127.0.0.1:8765"
_APPS = {"crdt-sync": application, "crdt-relay": relay_cli.app, "crdt-bench": bench_cli.app}
SHELL = "set -euo pipefail\n"


def _blocks(document: str, language: str) -> list[str]:
    text = (ROOT / document).read_text(encoding="utf-8")
    fences = re.findall(r"^```(\w*)\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    return [content for marked, content in fences if marked == language]


def _commands(document: str, language: str, program: str) -> list[str]:
    """Each command of the document's blocks that runs `program`, with continued lines joined, without remarks."""
    lines = "\n".join(_blocks(document, language)).replace("\\\n", " ").splitlines()
    return [re.sub(r"\s+#.*$", "", line) for line in lines if line.startswith(f"{program} ")]


def _code(cells: list[str]) -> list[str]:
    """What the first cell of a row has in code."""
    return re.findall(r"`(\w+)`", cells[1]) if len(cells) > 1 else []


def _rows(document: str, heading: str, begin: str = "|") -> list[list[str]]:
    """The cells of the first table after a heading that begins so."""
    text = (ROOT / document).read_text(encoding="utf-8").split(f"\n## {heading}\n", 1)[1]
    table = re.search(rf"^{re.escape(begin)}(?:.*\n\|)*.*\n", text, re.MULTILINE)
    assert table is not None
    return [[cell.strip() for cell in row.strip("|").split("|")] for row in table[0].splitlines()[2:]]


def _anchors(document: Path) -> list[str]:
    """What links to the headings of a document end with."""
    headings = re.findall(r"^#+ (.*)$", document.read_text(encoding="utf-8"), re.MULTILINE)
    return [re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings]


@pytest.fixture
def address(tmp_path: Path) -> Iterator[str]:
    with RelayThread(tmp_path / "relay") as running:
        yield running.url


@pytest.fixture
def home(tmp_path: Path) -> Path:
    folder = tmp_path / "home"
    folder.mkdir()
    return folder


def _run(command: list[str], home: Path) -> "subprocess.CompletedProcess[str]":
    """Run a command as somebody with an empty home and the commands of this environment."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("CRDT_", "XDG_"))}
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    environment = {**kept, "HOME": str(home), "PATH": path, "PYTHONPATH": str(ROOT), "COLUMNS": "120"}
    done = subprocess.run(command, cwd=home, env=environment, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
    return done


@pytest.fixture
def typed(home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[[str], str]:
    """typed("crdt-sync ..."): what the command prints, in this process; for somebody with an empty home, as `_run`."""
    for name in [name for name in os.environ if name.startswith(("CRDT_", "XDG_"))]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("COLUMNS", "120")
    monkeypatch.chdir(home)

    def typed(command: str) -> str:
        program, *words = shlex.split(command)
        capsys.readouterr()
        if program == "crdt-sync":
            code, printed = device(words), capsys.readouterr()
            out, told = printed.out, printed.err
        else:
            done = CliRunner().invoke(_APPS[program], words)
            code, out, told = done.exit_code, done.stdout, f"{done.stderr}{done.exception or ''}"
        assert code == 0, f"{command}\n{out}\n{told}"
        return out

    return typed


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_links_lead_somewhere_and_named_files_exist(document: Path) -> None:
    text = document.read_text(encoding="utf-8")
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        if "://" not in target:
            file, _, anchor = target.partition("#")
            assert (document.parent / file).exists(), target
            assert not anchor or anchor in _anchors(document.parent / file if file else document), target
    prose = re.sub(r"^```.*?^```$", "", text, flags=re.MULTILINE | re.DOTALL)
    for name in re.findall(r"`([\w./-]+\.(?:py|md|cddl))`", prose):
        assert any(f"/{source}".endswith(f"/{name}") for source in SOURCES), name


@pytest.mark.parametrize("document", [*(ROOT / "docs").glob("*.md"), ROOT / "HACKING.md"], ids=lambda path: path.name)
def test_a_page_says_first_for_whom_it_is(document: Path) -> None:
    assert re.match(r"# .+\n\nFor (who|programs)", document.read_text(encoding="utf-8"))


def test_the_python_example_runs(address: str, home: Path) -> None:
    (example,) = _blocks("README.md", "python")
    assert DEFAULT_RELAY in example
    for _ in range(2):  # a program is started again and again
        done = _run([sys.executable, "-c", example.replace(DEFAULT_RELAY, address)], home)
        assert done.stdout == "Müller GmbH\n"


def test_the_examples_of_typed_records_run_and_their_types_are_right(home: Path) -> None:
    example, in_a_loop = _blocks("docs/python.md", "python")
    loop = ["import asyncio", "async def main() -> None:", *(f"    {line}" for line in in_a_loop.splitlines())]
    inside = "".join(f"    {line}\n" for line in [*loop, "asyncio.run(main())"])  # of the block that opens the replica
    (home / "example.py").write_text(example + inside)
    assert _run([sys.executable, "example.py"], home).stdout == "Harbour 1 ()\nHarbour\n"
    settings = ["--config-file", str(ROOT / "pyproject.toml"), "--cache-dir", str(ROOT / ".mypy_cache")]
    _run([sys.executable, "-m", "mypy", *settings, "example.py"], home)


def test_the_commands_for_a_device_run(address: str, home: Path, typed: Callable[[str], str]) -> None:
    commands = _commands("README.md", "sh", "crdt-sync")
    assert len(commands) == 9
    shutil.copy(ROOT / "crdt_sync" / "exchange" / "companies.csv", home / "customers.csv")
    output = {}
    for command in commands:
        made = re.search(r"Created (customers/\w+)", "".join(output.values()))
        if command == 'crdt-sync resolve customers/… phone "+49 30 901821"':
            _oppose(made[1] if made else "", address, typed)
        filled = command.replace(DEFAULT_RELAY, address).replace("customers/…", made[1] if made else "")
        if command.startswith("crdt-sync resolve"):  # which needs something to decide
            assert made is not None
            (home / "other.csv").write_text(f"Record,Phone\n{made[1]},+49 30 5550100\n")
            typed("crdt-sync import other.csv --record-column Record")
        shell = command.startswith("crdt-sync set")  # which has something to quote; the others need no shell
        output[command.split()[1]] = _run(["bash", "-c", SHELL + filled], home).stdout if shell else typed(filled)
    assert "220 new" in output["import"]
    assert "Müller GmbH" in output["find"]
    assert "221 sent" in output["sync"]
    assert "Equal" in output["verify"]


def test_a_device_is_backed_up_and_restored_as_the_readme_says(
    home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(home)
    monkeypatch.setenv("CRDT_SYNC_STORE", str(home / "old"))
    assert device(["init", "anna-phone"]) == 0
    assert device(["set", "customers", "name=Müller"]) == 0
    (block,) = (block for block in _blocks("README.md", "") if "backup.bundle" in block)
    commands = [re.sub(r"\s+#.*$", "", line) for line in block.splitlines()]
    assert len(commands) == 6
    for command in commands:
        capsys.readouterr()
        typed, _, file = command.partition(" > ")
        assert device(shlex.split(typed)[1:]) == 0, command + capsys.readouterr().err
        if file:
            (home / file).write_text(capsys.readouterr().out, encoding="utf-8")
    assert "with a token" in capsys.readouterr().out
    with Replica.open(home / "new") as replica:
        assert [view["name"] for view in replica.list()] == ["Müller"]


def test_the_calls_that_are_named_for_programs_exist() -> None:
    rows = re.findall(
        r"^\| .* \| (`.*) \|$", (ROOT / "docs" / "python.md").read_text("utf-8").split("\n## ")[0], re.MULTILINE
    )
    named = [name for row in rows for name in re.findall(r"`([\w.]+)`", row)]
    assert len(named) > 20
    for name in named:
        owner, _, attribute = name.rpartition(".")
        assert hasattr(Replica, attribute) if owner else name in crdt_sync.__all__, name


def test_the_example_for_devices_runs(home: Path) -> None:
    (example,) = _blocks("docs/devices.md", "python")
    for _ in range(2):
        assert _run([sys.executable, "-c", example], home).stdout == "Müller GmbH\n"


def test_cells_are_read_as_the_document_says() -> None:
    rows = {row[0]: row[1:] for row in _rows("docs/importing.md", "What can be read", "| type |")}
    for row, kind in (("integer, decimal", "decimal"), ("date", "date"), ("datetime", "datetime"), ("set", "string")):
        read, doubtful = (re.findall(r"`([^`]+)`", cell) for cell in rows[row])
        assert read
        for cell in read:
            assert _read_alone(cell, kind, members=row == "set")
        if row in {"integer, decimal", "date"}:
            with pytest.raises(InvalidValue):
                _read_alone(doubtful[0], kind)


def _read_alone(cell: str, kind: str, *, members: bool = False) -> object:
    """What the only cell of its column is read as."""
    spec = FieldSpec.of({"type": kind, "kind": "set" if members else "value"})
    reading = ColumnReading("Column", "field", spec, FOUND_OUT, {})
    reading.look(cell)
    return reading.read(cell)


def test_the_commands_for_tables_run(
    home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(home)
    monkeypatch.setenv("CRDT_SYNC_STORE", str(home / "anna"))
    for name, visits in (("anna", "vip"), ("ben", "new")):
        assert device(["--store", name, "init", name]) == 0
        rows = f"Nr,Name,Tags,Timeline\n1,Anna,{visits},{visits} called\n"
        (home / "customers.csv").write_text(rows, encoding="utf-8")
        if name == "ben":
            assert device(["--store", name, "import", "customers.csv", "--key", "Nr"]) == 0
            assert device(["--store", name, "token", "--token", "the-token-of-the-space"]) == 0
            assert device(["--store", name, "bundle", "create", "ben.bundle"]) == 0
        elif name == "anna":
            assert device(["import", "customers.csv", "--key", "Nr"]) == 0
    with Replica.open(home / "anna") as replica:
        (record,) = [view.record for view in replica.list()]
    assert device(["token", "--token", "the-token-of-the-space"]) == 0
    assert device(["bundle", "apply", "ben.bundle"]) == 0
    for command in _commands("docs/importing.md", "sh", "crdt-sync"):
        capsys.readouterr()
        assert device(shlex.split(command.replace("RECORD", record))[1:]) == 0, command + capsys.readouterr().err
    assert capsys.readouterr().out.startswith("Resolved timeline")


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_every_command_that_is_named_takes_what_it_is_given(document: Path) -> None:
    text = document.read_text(encoding="utf-8").replace("\\\n", " ")
    blocks = "\n".join(re.findall(r"^```\w*\n(.*?)^```$", text, re.MULTILINE | re.DOTALL))
    prose = re.sub(r"^```.*?^```$", "", text, flags=re.MULTILINE | re.DOTALL)
    for line in re.findall(r"^crdt-(?:sync|relay|bench) .*$", blocks, re.MULTILINE):
        for command in re.split(r"&&|>", re.sub(r"\s+#.*$|\s{3,}.*$", "", line)):
            if command.strip().startswith("crdt-"):
                _check_call(shlex.split(command))
    for named in re.findall(r"`(crdt-(?:sync|relay|bench)\s[^`]+)`", prose):
        words = re.sub(r"[\[\]]", "", named).split(maxsplit=1)
        program: Any = _APPS[words[0]]
        if re.match(r"bundle (1|create/apply)", words[1]):  # the first bytes of a bundle; several commands at once
            continue
        if words[1].split()[0] in program.list_commands(
            click.Context(program)
        ):  # also what a hash is salted with is called so
            with suppress(
                click.MissingParameter, click.exceptions.Exit
            ):  # in a sentence it may stand for all that it takes
                _check_call([words[0], *shlex.split(words[1])])


def test_a_mistyped_example_is_noticed() -> None:
    for wrong in ("crdt-sync import --prevew x", "crdt-relay sevre", "crdt-sync space move"):
        with pytest.raises(click.ClickException):
            _check_call(wrong.split())


def _check_call(words: list[str]) -> None:
    """Raise what the command would raise for wrong options, without running it."""
    command: Any = _APPS[words[0]]
    context, arguments = None, hoisted(words[1:]) if words[0] == "crdt-sync" else words[1:]
    name: str | None = words[0]
    while True:
        context = command.make_context(name, list(arguments), parent=context)
        rest = [*getattr(context, "_protected_args", []), *context.args]
        if not hasattr(command, "resolve_command") or not rest:
            return
        name, command, arguments = command.resolve_command(context, rest)


def _oppose(record: str, address: str, typed: Callable[[str], str]) -> None:
    """Another device writes another phone without knowing of ours: the conflict that the example decides."""
    typed(f"crdt-sync --store other init other --relay {address}")
    typed("crdt-sync --store other sync")
    typed(f"crdt-sync --store other set {record} phone=1")
    typed("crdt-sync --store other sync")
    typed(f"crdt-sync set {record} phone=2")
    typed("crdt-sync sync")


def test_the_examples_for_bundles_run(home: Path, typed: Callable[[str], str], monkeypatch: pytest.MonkeyPatch) -> None:
    (example,) = _blocks("docs/bundles.md", "python")
    for _ in range(2):
        assert _run([sys.executable, "-c", example], home).stdout == "anna\nMüller GmbH\n"
    create, inspect, apply, back = _commands("docs/bundles.md", "", "crdt-sync")
    for name in ("anna-phone", "ben-till"):
        typed(f"crdt-sync init {name} --store {name}")
    for command, store in ((create, "anna-phone"), (inspect, ""), (apply, "ben-till"), (back, "ben-till")):
        monkeypatch.setenv("CRDT_SYNC_STORE", str(home / store))
        typed(command)
    typed("crdt-sync bundle apply back.bundle --store anna-phone")


def test_the_limits_of_bundles_are_those_of_the_code() -> None:
    told = {row[0]: row[1] for row in _rows("docs/bundles.md", "Format")}
    mib, kib = limits.MIB, limits.KIB
    header = f"{limits.BUNDLE_HEADER_BYTES_MAX // kib} KiB, {limits.BUNDLE_KNOWN_MAX} feeds of others"
    assert told["header"] == header
    envelope = f"{limits.BUNDLE_ENVELOPE_BYTES_MAX // kib} KiB, {limits.BUNDLE_DEVICES_MAX:,} devices"
    assert told["envelope"] == envelope
    chunk = f"{limits.BUNDLE_CHUNK_BYTES_MAX // mib} MiB, {limits.BUNDLE_CHUNK_RECORDS_MAX} updates"
    assert told["chunk, unpacked"] == chunk
    assert told["update"] == f"{limits.UPDATE_BYTES_MAX / mib:g} MiB"
    assert told["chunks"] == f"{limits.BUNDLE_CHUNKS_MAX:,}"
    assert told["interrupted applications that are remembered"] == str(limits.BUNDLE_ARRIVALS_MAX)
    assert told["partners by bundle that are remembered"] == str(limits.BUNDLE_PARTNERS_MAX)
    assert told["updates that kill a worker before the rest is refused"] == str(limits.BUNDLE_POISONS_MAX)


def test_the_commands_for_devices_run(home: Path, typed: Callable[[str], str], monkeypatch: pytest.MonkeyPatch) -> None:
    commands = _commands("docs/devices.md", "", "crdt-sync")
    for name in ("anna", "ben"):
        typed(f"crdt-sync init {name} --store {name}")
    monkeypatch.setenv("CRDT_SYNC_STORE", str(home / "anna"))
    made, kept = (command for command in commands if command.startswith("crdt-sync token"))
    (home / "FILE").write_text(typed(made))
    listener = Lasting("listen", "--host", "127.0.0.1", "--port", "0")
    try:
        address = listener.until(state="listening")["listening"].removeprefix("wss://")
        monkeypatch.setenv("CRDT_SYNC_STORE", str(home / "ben"))
        typed(kept)
        calls = [re.sub(r"192\.168\.1\.20|(?<=verify )anna-phone", address, command) for command in commands]
        calls = [each for each in calls if address in each or "--aside" in each or "status" in each or "--unit" in each]
        assert len(calls) == 5
        for command in calls:
            typed(re.sub(r"\s{2,}.*", "", command))
    finally:
        listener.kill()


def test_the_limits_of_devices_are_those_of_the_code() -> None:
    told = [int(row[1]) for row in _rows("docs/devices.md", "Limits")]
    partners = limits.PARTNERS_MAX
    assert told == [limits.LISTENER_SESSIONS_MAX, partners, partners, limits.NEARBY_DEVICES_MAX]


def test_the_commands_for_a_relay_run(home: Path, typed: Callable[[str], str], monkeypatch: pytest.MonkeyPatch) -> None:
    assert _commands("README.md", "sh", "crdt-relay") == ["crdt-relay serve"]
    commands = _commands("docs/operating.md", "", "crdt-relay")
    assert len(commands) >= 5
    (home / "etc").mkdir()
    for name in ("fullchain.pem", "privkey.pem"):
        (home / name).touch()
    (home / "acme.toml").write_text('[role.sales]\n[user.anna]\nrole = "sales"\n', encoding="utf-8")
    typed("crdt-sync init --store data/crdt-relay")  # any store will do
    monkeypatch.setenv("XDG_DATA_HOME", str(home / "data"))
    for command in commands:
        there = re.sub(r"/(etc/crdt-relay|backups)/", lambda place: f"{home}/{place[1]}/", command)
        for folder in ("etc/crdt-relay", "backups"):
            (home / folder).mkdir(parents=True, exist_ok=True)
        if there.split()[1] == "serve":
            there += " --show-config"
        typed(there)


def test_the_commands_for_the_simulator_run(typed: Callable[[str], str]) -> None:
    for command in _commands("docs/simulator.md", "", "crdt-bench"):
        smaller = re.sub(r"--seeds \d+", "--seeds 3", re.sub(r"\s{2,}.*$", "", command))
        if "--mutants" not in smaller:  # which take minutes; tests/simulator runs them
            typed(smaller)


def test_every_experiment_is_explained_and_every_figure_has_its_command() -> None:
    told = {row[0].strip("`") for row in _rows("docs/benchmarks.md", "What is measured")}
    commands = bench_cli.app.list_commands(click.Context(bench_cli.app))
    assert {*told, "all", "simulate", "campaign"} == set(commands)
    figures = (ROOT / "docs" / "benchmarks.md").read_text(encoding="utf-8").split("\n### ")[1:]
    assert len(figures) >= 4
    for section in figures:
        assert re.search(r"^`crdt-bench \w+", section, re.MULTILINE), section[:40]


def test_the_parts_of_the_campaign_are_those_of_the_code() -> None:
    explained = re.findall(r"^\| `([\w-]+)` \|", (ROOT / "docs" / "reliability.md").read_text("utf-8"), re.MULTILINE)
    figures = {row[0].strip("`"): row[2] for row in _rows("docs/reliability.md", "Figures")[1:]}
    assert sorted(explained) == sorted([*PARTS, *figures])
    assert set(figures) == set(PARTS)
    for name, goal in figures.items():
        if goal.replace(",", "").isdigit() and name not in {"frozen", "machines"}:
            assert int(goal.replace(",", "")) == PARTS[name].goal, name


def test_the_faults_and_checkers_of_the_simulator_are_those_of_the_code() -> None:
    told = {name.strip() for row in _rows("docs/simulator.md", "Faults") for name in row[0].split(",")}
    assert told == set(FAULTS)
    checkers = {name for row in _rows("docs/simulator.md", "Checkers") for name in re.findall(r"`(\w+\.py)`", row[0])}
    folder = ROOT / "benchmarks" / "crdt_bench" / "simulator" / "checkers"
    assert {path.name for path in folder.glob("[a-z]*.py")} <= checkers


def test_the_schema_example_is_a_schema_and_its_commands_run(home: Path, typed: Callable[[str], str]) -> None:
    (example,) = _blocks("docs/schemas.md", "toml")
    (home / "example.toml").write_text(example, encoding="utf-8")
    schema = load_schema(home / "example.toml")
    assert {spec.kind for spec in schema.fields.values()} >= {"value", "review", "stage", "counter", "set", "text"}
    typed("crdt-sync init")
    typed("crdt-sync schema add example.toml")
    assert "review" in typed(f"crdt-sync schema show {schema.collection}")
    typed("crdt-sync schema show customers --toml")
    (home / "table.csv").write_text("Name,Town\nx,y\n", encoding="utf-8")
    typed("crdt-sync import --collection towns table.csv")


def test_every_key_of_a_schema_file_is_explained() -> None:
    text = (ROOT / "docs" / "schemas.md").read_text(encoding="utf-8")
    for key in (each.name for of in (Schema, FieldSpec) for each in fields(of)):
        assert re.search(rf"`{key}`|^\[?{key}\b", text, re.MULTILINE), key


def test_the_settings_and_metrics_of_the_relay_are_those_of_the_code() -> None:
    named = [name for row in _rows("docs/operating.md", "Settings") for name in re.findall(r"`(\w+)`", row[0])]
    assert sorted(named) == sorted(Settings.model_fields)
    told = set(re.findall(r"crdt_relay_\w+", (ROOT / "docs" / "operating.md").read_text(encoding="utf-8")))
    metrics = {metric.name for metric in observability.Metrics().registry.collect()}
    assert {name.removesuffix("_total") for name in told} == {
        name for name in metrics if name.startswith("crdt_relay_")
    }


def test_the_verdicts_are_those_of_the_code() -> None:
    told = [(int(row[0]), row[1]) for row in _rows("docs/protocol.md", "Verdicts")]
    assert told == [(number, code.value) for number, code in enumerate(VerdictCode)]


def test_every_code_of_bye_is_listed() -> None:
    told = {row[0] for row in _rows("docs/protocol.md", "Codes of `bye`")}
    sent: set[str] = set()
    for folder in ("crdt_sync/protocol", "crdt_sync/runtime", "relay"):
        for path in (ROOT / folder).rglob("*.py"):
            code = path.read_text(encoding="utf-8")
            sent |= set(re.findall(r"(?:\.close|Refusal|\bbye =)\s*\(\s*\"(\w+)\"", code))
            sent |= set(re.findall(r"\.expel\(\w+, \"(\w+)\"", code))
    assert len(sent) >= 8
    assert sent <= told


def test_the_limits_are_those_of_the_code() -> None:
    told = {row[0]: row[1] for row in _rows("docs/protocol.md", "Limits")}
    mib, kib = limits.MIB, limits.KIB
    assert told["frame; hello"] == f"{limits.FRAME_BYTES_MAX // mib} MiB; {limits.HELLO_BYTES_MAX // kib} KiB"
    assert told["update, record"] == f"{limits.RECORD_BYTES_MAX / mib:g} MiB"
    assert told["pages ahead of their answers"] == str(limits.PAGES_IN_FLIGHT_MAX)
    assert told["wants with page 1 without answer, where digests are compared"] == str(limits.PAGES_IN_FLIGHT_MAX)
    assert told["bytes of `ranges`; more in reconciliation.md"] == f"{limits.FRAME_BYTES_TARGET // kib} KiB"
    assert told["wants with page 0 without answer"] == str(limits.PUSHES_IN_FLIGHT_MAX)
    pushes = f"{limits.PUSHES_IN_FLIGHT_MAX}, {limits.PUSH_BYTES_IN_FLIGHT_MAX // mib} MiB"
    assert told["pushes, bytes of pushes without answer"] == pushes
    assert told["bytes of updates without `have`"] == f"{limits.UNCONFIRMED_BYTES_MAX // mib} MiB"
    assert told["entries of `presence`"] == str(limits.PRESENCE_ENTRIES_MAX)
    assert told["token"] == f"{limits.TOKEN_LENGTH_MAX:,} characters"
    assert told["writers of one record"] == f"{limits.CLIENTS_MAX:,}"
    assert told["roots of one record"] == f"{limits.ROOTS_MAX:,}"
    assert told["lists inside lists of one value"] == str(limits.NESTING_MAX)
    assert told["operations without content in one update"] == f"2^{limits.GROWTH_OPERATIONS_MAX.bit_length() - 1}"


def test_the_files_of_a_store_are_told(home: Path, typed: Callable[[str], str], address: str) -> None:
    cells = [row[0] for row in _rows("docs/storage.md", "Files")]
    told = {name.rstrip("/") for cell in cells for name in re.findall(r"`([\w./-]+)`", cell)}
    kept = {partners.RELAY_FILE, partners.WAYS_FILE, partners.TOKEN_FILE, partners.FORMER_FILE, CERTIFICATE_FILE}
    assert told >= kept | {local.SOCKET_NAME, local.PORT_NAME, control.SOCKET_NAME, LOG_NAME}
    typed(f"crdt-sync init --store device --relay {address}")
    typed("crdt-sync sync --store device")
    typed("crdt-sync set customers name=x --store device")
    typed("crdt-sync export x.csv --store device")
    assert {path.name for path in (home / "device").iterdir()} <= told


def test_the_limits_of_a_comparison_are_those_of_the_code() -> None:
    told = {row[0]: row[1] for row in _rows("docs/reconciliation.md", "Limits")}
    assert (
        told["open ranges, as a message leaves them"]
        == f"{limits.RECONCILE_OPEN_RANGES_MAX - limits.RECONCILE_FAN_OUT:,}"
    )
    assert told["records listed and not replied to, of one side"] == f"{limits.RECONCILE_LISTED_RECORDS_MAX:,}"
    assert told["records listed by one side in a run"] == f"{limits.RECONCILE_RECORDS_MAX:,}"
    every = limits.RECONCILE_RECORDS_PER_MESSAGE_MIN
    messages = (
        f"{limits.RECONCILE_MESSAGES_FREE}, and one more for each {every} records that the other side holds or was sent"
    )
    assert told["messages of one side"] == messages
    assert told["a message"] == f"{limits.FRAME_BYTES_TARGET:,} bytes with its CBOR"


def test_the_databases_are_those_of_the_store() -> None:
    told = {name for row in _rows("docs/storage.md", "Databases") for name in re.findall(r"`(\w+)`", row[0])}
    assert told == {*Tables.__dataclass_fields__, *PlaceTables.__dataclass_fields__} - {"placed"}


def test_the_types_of_values_are_shown_as_the_document_says(home: Path, typed: Callable[[str], str]) -> None:
    table = (ROOT / "docs" / "schemas.md").read_text(encoding="utf-8").split("| type |")[1].split("\n\n")[0]
    told = {
        name: row.split("|")[3].split(";")[0].strip() for row in table.splitlines() for name in _code(row.split("|"))
    }
    assert set(told) >= set(get_args(Type))
    given = {"string": "x", "integer": "9007199254740993", "decimal": "1.5", "boolean": "yes", "date": "2026-01-02"}
    given |= {"datetime": "2026-01-02T03:04Z", "json": '{"a": 1}'}
    fields = "".join(f'[fields.{name}]\ntype = "{name}"\n' for name in given)
    (home / "every.toml").write_text(f'collection = "every"\nversion = 1\n{fields}', encoding="utf-8")
    typed("crdt-sync init --schema every.toml")
    typed(f"crdt-sync set every {' '.join(shlex.quote(f'{name}={value}') for name, value in given.items())}")
    shown = json.loads(typed("crdt-sync list every --json"))["fields"]
    kinds = {"text": str, "number": int, "boolean": bool, "ISO 8601 text": str, "that value": dict}
    assert {name: type(shown[name]) for name in given} == {name: kinds[told[name]] for name in given}


def test_the_kinds_of_fields_are_those_of_the_code() -> None:
    text = (ROOT / "docs" / "schemas.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| `(\w+)`(?: \(default\))? \| (.*) \|$", text.split("| type |")[0], re.MULTILINE)
    assert [name for name, _ in rows if name not in KINDS] == []
    assert {kind.name for kind in KINDS.values() if not kind.internal} == {name for name, _ in rows}
    told = {name: does.partition(":")[0].replace("`", "") for name, does in rows}
    assert {name: does for name, does in told.items() if not KINDS[name].merging.startswith(does)} == {}
