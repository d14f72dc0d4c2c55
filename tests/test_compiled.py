"""The wheel with compiled modules: what is compiled, when, and how a command tells; and where all checks leave it out.

Building it is a check of its own: see `python -m tests`.
"""

import importlib.util
import re
from importlib.machinery import ExtensionFileLoader, ModuleSpec
from pathlib import Path
from types import ModuleType

import pytest

from crdt_sync import version
from tests import __main__ as checks
from tests import compiled

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="module")
def hook() -> ModuleType:
    spec = importlib.util.spec_from_file_location("compiled", ROOT / ".build" / "compiled.py")
    assert spec is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _source(path):
    return (ROOT / path).read_text("utf-8")


def test_what_inherits_from_a_compiled_class_is_compiled_too(hook):
    """An interpreted class cannot: it raises `TypeError` when it is imported, which some are only when needed."""
    classes = {name for path in hook.MODULES for name in re.findall(r"^class (\w+)", _source(path), re.MULTILINE)}
    heir = re.compile(rf"^ *class \w+\((?:{'|'.join(classes)})\b", re.MULTILINE)
    heirs = {
        path.relative_to(ROOT).as_posix()
        for folder in ("crdt_sync", "relay", "benchmarks", "tests")
        for path in (ROOT / folder).rglob("*.py")
        if heir.search(_source(path))
    }
    assert heirs
    assert heirs <= set(hook.MODULES)


def test_building_needs_a_compiler_only_where_it_was_asked_for(hook, monkeypatch, tmp_path):
    made = hook.CompiledRecords(str(tmp_path), {}, None, None, str(tmp_path), "wheel")
    for value, asked in ((None, False), ("", False), ("0", False), ("1", True), (hook.UNOPTIMISED, True)):
        if value is None:
            monkeypatch.delenv(hook.VARIABLE, raising=False)
        else:
            monkeypatch.setenv(hook.VARIABLE, value)
        assert bool(made.dependencies()) is asked
    build_data = {}
    made.initialize("editable", build_data)  # its sources are to be edited
    monkeypatch.delenv(hook.VARIABLE)
    made.initialize("standard", build_data)
    assert build_data == {}


def test_people_get_it_optimised(hook, monkeypatch):
    monkeypatch.setenv(hook.VARIABLE, "1")
    assert hook._levels() == ("3", "1")
    monkeypatch.setenv(hook.VARIABLE, hook.UNOPTIMISED)
    assert hook._levels() == ("0", "0")


def test_without_a_compiler_or_headers_it_is_left_out_and_said_so(monkeypatch, capsys, tmp_path):
    monkeypatch.setattr(checks, "_run", lambda *_: pytest.fail("was built all the same"))
    monkeypatch.setattr("shutil.which", lambda _: "/usr/bin/cc")
    monkeypatch.setattr("sysconfig.get_path", lambda _: str(tmp_path))
    assert checks._compiled() == 0
    assert capsys.readouterr().out.startswith(f"== compiled: LEFT OUT, there is no {tmp_path}/Python.h")
    monkeypatch.setenv("CC", "none -g")
    monkeypatch.setattr("shutil.which", lambda _: None)
    assert checks._compiled() == 0
    assert capsys.readouterr().out == "== compiled: LEFT OUT, there is no C compiler (none)\n"


def test_where_it_can_be_built_its_outcome_is_that_of_the_check(monkeypatch, tmp_path):
    (tmp_path / "Python.h").touch()
    monkeypatch.setattr("shutil.which", lambda _: "/usr/bin/cc")
    monkeypatch.setattr("sysconfig.get_path", lambda _: str(tmp_path))
    ran = []
    monkeypatch.setattr(checks, "_run", lambda *check: ran.append(check) or 3)
    assert checks._compiled() == 3
    assert ran == [("compiled", ("-m", "tests", "--compiled-quickly"))]


def test_what_is_to_be_tested_compiled_is_there():
    assert [path for path in (*compiled.OF_WHAT_IS_COMPILED, *compiled.TESTS) if not (ROOT / path).exists()] == []


@pytest.mark.parametrize(("loader", "told"), [(None, "0.1.0"), (ExtensionFileLoader, "0.1.0, compiled")])
def test_the_version_tells_whether_it_is_compiled(monkeypatch, loader, told):
    if loader is not None:
        found = ModuleSpec("update", loader("update", "update.so"))
        monkeypatch.setattr(version, "find_spec", lambda _: found)
    assert str(version.installed()) == told
