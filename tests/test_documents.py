"""What README.md and docs/ say is so: examples run, links lead somewhere, and tables agree with the code."""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from crdt_relay import observability
from crdt_relay.settings import Settings
from crdt_sync import Schema, limits, load_schema
from crdt_sync.protocol.messages import VerdictCode
from crdt_sync.records import FieldSpec
from crdt_sync.records.kinds import KINDS
from crdt_sync.storage.lmdb.environment import Tables

from .end_to_end.conftest import RelayThread

ROOT = Path(__file__).resolve().parents[1]
DOCUMENTS = sorted([ROOT / "README.md", ROOT / "CHANGELOG.md", ROOT / "HACKING.md", *(ROOT / "docs").rglob("*.md")])
SOURCES = [
    path.relative_to(ROOT).as_posix()
    for folder in ("crdt_sync", "relay", "benchmarks", "tests", "docs")
    for path in (ROOT / folder).rglob("*")
]
DEFAULT_RELAY = "ws://127.0.0.1:8765"
SHELL = "set -euo pipefail\n"


def _blocks(document: str, language: str) -> list[str]:
    text = (ROOT / document).read_text(encoding="utf-8")
    fences = re.findall(r"^```(\w*)\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    return [content for marked, content in fences if marked == language]


def _commands(document: str, language: str, program: str) -> list[str]:
    """Each command of the document's blocks that runs `program`, with continued lines joined, without remarks."""
    lines = "\n".join(_blocks(document, language)).replace("\\\n", " ").splitlines()
    return [re.sub(r"\s+#.*$", "", line) for line in lines if line.startswith(f"{program} ")]


def _rows(document: str, heading: str) -> list[list[str]]:
    """The cells of the first table behind a heading."""
    text = (ROOT / document).read_text(encoding="utf-8").split(f"\n## {heading}\n", 1)[1]
    table = re.search(r"(?:^\|.*\n)+", text, re.MULTILINE)
    assert table is not None
    return [[cell.strip() for cell in row.strip("|").split("|")] for row in table[0].splitlines()[2:]]


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


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_links_lead_somewhere_and_named_files_exist(document: Path) -> None:
    text = document.read_text(encoding="utf-8")
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        if "://" not in target:
            assert (document.parent / target.partition("#")[0]).exists(), target
    prose = re.sub(r"^```.*?^```$", "", text, flags=re.MULTILINE | re.DOTALL)
    for name in re.findall(r"`([\w./-]+\.(?:py|md|cddl))`", prose):
        assert any(f"/{source}".endswith(f"/{name}") for source in SOURCES), name


def test_the_python_example_runs(address: str, home: Path) -> None:
    (example,) = _blocks("README.md", "python")
    assert DEFAULT_RELAY in example
    for _ in range(2):  # a program is started again and again
        done = _run([sys.executable, "-c", example.replace(DEFAULT_RELAY, address)], home)
        assert done.stdout == "Müller GmbH\n"


def test_the_commands_for_a_device_run(address: str, home: Path) -> None:
    commands = _commands("README.md", "sh", "crdt-sync")
    assert len(commands) == 9
    shutil.copy(ROOT / "crdt_sync" / "exchange" / "companies.csv", home / "customers.csv")
    output = {}
    for command in commands:
        made = re.search(r"Created (customers/\w+)", "".join(output.values()))
        if command == 'crdt-sync resolve customers/… phone "+49 30 901821"':
            _oppose(made[1] if made else "", address, home)
        filled = command.replace(DEFAULT_RELAY, address).replace("customers/…", made[1] if made else "")
        if command.startswith("crdt-sync resolve"):  # which needs something to decide
            assert made is not None
            (home / "other.csv").write_text(f"Record,Phone\n{made[1]},+49 30 5550100\n")
            _run(["crdt-sync", "import", "other.csv", "--record-column", "Record"], home)
        output[command.split()[1]] = _run(["bash", "-c", SHELL + filled], home).stdout
    assert "220 new" in output["import"]
    assert "Müller GmbH" in output["find"]
    assert "221 sent" in output["sync"]
    assert "Equal" in output["verify"]


def _oppose(record: str, address: str, home: Path) -> None:
    """Another device writes another phone without knowing of ours: the conflict that the example decides."""
    other = ["crdt-sync", "--store", str(home / "other")]
    _run([*other, "init", "other", "--relay", address], home)
    _run([*other, "sync"], home)
    _run([*other, "set", record, "phone=1"], home)
    _run([*other, "sync"], home)
    _run(["crdt-sync", "set", record, "phone=2"], home)
    _run(["crdt-sync", "sync"], home)


def test_the_examples_for_bundles_run(home: Path) -> None:
    (example,) = _blocks("docs/bundles.md", "python")
    assert _run([sys.executable, "-c", example], home).stdout == "anna\nMüller GmbH\n"
    create, inspect, apply, back = _commands("docs/bundles.md", "", "crdt-sync")
    for name in ("anna-phone", "ben-till"):
        _run(["crdt-sync", "init", name, "--store", str(home / name)], home)
    for command, store in ((create, "anna-phone"), (inspect, ""), (apply, "ben-till"), (back, "ben-till")):
        _run(["bash", "-c", f"export CRDT_SYNC_STORE={home / store}\n{SHELL}{command}"], home)
    _run(["crdt-sync", "bundle", "apply", "back.bundle", "--store", str(home / "anna-phone")], home)


def test_the_limits_of_bundles_are_those_of_the_code() -> None:
    told = {row[0]: row[1] for row in _rows("docs/bundles.md", "Format")}
    mib, kib = limits.MIB, limits.KIB
    header = f"{limits.BUNDLE_HEADER_BYTES_MAX // kib} KiB, {limits.BUNDLE_KNOWN_MAX} feeds of others"
    assert told["header"] == header
    chunk = f"{limits.BUNDLE_CHUNK_BYTES_MAX // mib} MiB, {limits.BUNDLE_CHUNK_RECORDS_MAX} updates"
    assert told["chunk, unpacked"] == chunk
    assert told["update"] == f"{limits.UPDATE_BYTES_MAX / mib:g} MiB"
    assert told["chunks"] == f"{limits.BUNDLE_CHUNKS_MAX:,}"
    assert told["interrupted applications that are remembered"] == str(limits.BUNDLE_ARRIVALS_MAX)
    assert told["partners by bundle that are remembered"] == str(limits.BUNDLE_PARTNERS_MAX)
    assert told["updates that kill a worker before the rest is refused"] == str(limits.BUNDLE_POISONS_MAX)


def test_the_commands_for_a_relay_run(home: Path) -> None:
    assert _commands("README.md", "sh", "crdt-relay") == ["crdt-relay serve"]
    commands = _commands("docs/operating.md", "", "crdt-relay")
    assert len(commands) >= 5
    (home / "etc").mkdir()
    for name in ("fullchain.pem", "privkey.pem"):
        (home / name).touch()
    _run(["crdt-sync", "init", "--store", str(home / "data" / "crdt-relay")], home)  # any store will do
    for command in commands:
        there = re.sub(r"/(etc/crdt-relay|backups)/", lambda place: f"{home}/{place[1]}/", command)
        for folder in ("etc/crdt-relay", "backups"):
            (home / folder).mkdir(parents=True, exist_ok=True)
        if there.split()[1] == "serve":
            there += " --show-config"
        _run(["bash", "-c", f"export XDG_DATA_HOME={home}/data\n{SHELL}{there}"], home)


def test_the_commands_for_the_simulator_run(home: Path) -> None:
    for command in _commands("docs/simulator.md", "", "crdt-bench"):
        smaller = re.sub(r"--seeds \d+", "--seeds 3", re.sub(r"\s{2,}.*$", "", command))
        if "--mutants" not in smaller:  # which take minutes; tests/simulator runs them
            _run(["bash", "-c", SHELL + smaller], home)


def test_the_schema_example_is_a_schema_and_its_commands_run(home: Path) -> None:
    (example,) = _blocks("docs/schemas.md", "toml")
    (home / "example.toml").write_text(example, encoding="utf-8")
    schema = load_schema(home / "example.toml")
    assert schema.collection == "customers"
    assert {spec.kind for spec in schema.fields.values()} >= {"value", "review", "stage", "counter", "set", "text"}
    _run(["crdt-sync", "init", "--schema", "example.toml"], home)
    assert "review" in _run(["crdt-sync", "schema", "show", "customers"], home).stdout
    (home / "table.csv").write_text("Name,Town\nx,y\n", encoding="utf-8")
    _run(["crdt-sync", "import", "--collection", "towns", "table.csv"], home)


def test_every_key_of_a_schema_file_is_explained() -> None:
    text = (ROOT / "docs" / "schemas.md").read_text(encoding="utf-8")
    for key in [*Schema.model_fields, *FieldSpec.model_fields]:
        if key != "section":  # reserved: read and kept, and without an effect
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
    assert told == [(code.value, code.name.lower()) for code in VerdictCode]


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


def test_the_databases_are_those_of_the_store() -> None:
    told = {name for row in _rows("docs/storage.md", "Databases") for name in re.findall(r"`(\w+)`", row[0])}
    assert told == set(Tables.__dataclass_fields__)


def test_the_kinds_of_fields_are_those_of_the_code() -> None:
    text = (ROOT / "docs" / "schemas.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| `(\w+)`(?: \(default\))? \| (.*) \|$", text.split("| type |")[0], re.MULTILINE)
    assert [name for name, _ in rows if name not in KINDS] == []
    assert KINDS.keys() <= {name for name, _ in rows}
    told = {name: does.partition(":")[0].replace("`", "") for name, does in rows}
    assert {name: does for name, does in told.items() if not KINDS[name].merging.startswith(does)} == {}
