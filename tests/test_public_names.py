"""What `crdt_sync` exports is the API: `dir()` and completion show it, all of it is there, and says what it is."""

import ast
import inspect
import rlcompleter
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest

import crdt_sync

PACKAGES = ("crdt_sync", "crdt_sync.records", "crdt_sync.replica", "crdt_sync.runtime", "crdt_sync.storage")


def stated_origins(package: str) -> list[tuple[str, str, str]]:
    """What a package imports for type checkers: modules, names there, and names here."""
    file = inspect.getsourcefile(sys.modules[package]) or ""
    blocks = [node for node in ast.parse(Path(file).read_text("utf-8")).body if isinstance(node, ast.If)]
    return [
        (node.module or "", name.name, name.asname or name.name)
        for block in blocks
        for node in block.body
        if isinstance(node, ast.ImportFrom)
        for name in node.names
    ]


def stated(package: str) -> set[str]:
    """The names that a package imports for type checkers."""
    return {name for _, _, name in stated_origins(package)}


@pytest.mark.parametrize("package", PACKAGES)
def test_a_package_lists_what_it_offers_and_nothing_else(package: str) -> None:
    __import__(package)
    module = sys.modules[package]
    assert dir(module) == sorted(module.__all__)
    assert stated(package) <= set(module.__all__)
    for name in module.__all__:
        getattr(module, name)


@pytest.mark.parametrize("package", PACKAGES)
def test_a_name_is_what_type_checkers_take_it_for(package: str) -> None:
    module = __import__(package, fromlist=["__all__"])
    for origin, there, name in stated_origins(package):
        found = getattr(import_module(origin), there, None)
        assert getattr(module, name) is (import_module(f"{origin}.{there}") if found is None else found), name


def test_type_checkers_know_the_same_names() -> None:
    assert stated("crdt_sync") == set(crdt_sync.__all__)


def test_completion_shows_the_public_names_alone() -> None:
    complete = rlcompleter.Completer({"crdt_sync": crdt_sync}).attr_matches
    shown = {match.removeprefix("crdt_sync.").partition("(")[0] for match in complete("crdt_sync.")}
    assert shown - {"__class__"} == set(crdt_sync.__all__)


@pytest.mark.parametrize("name", crdt_sync.__all__)
def test_a_public_name_says_what_it_is(name: str) -> None:
    assert (getattr(crdt_sync, name).__doc__ or "").strip()


def test_an_unknown_name_is_refused() -> None:
    with pytest.raises(AttributeError, match="no attribute 'Replicas'"):
        _ = crdt_sync.Replicas  # type: ignore[attr-defined]


def test_importing_the_package_imports_nothing_that_it_offers() -> None:
    script = "import sys, crdt_sync; print(*sorted(name for name in sys.modules if name.startswith('crdt_sync')))"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["crdt_sync", "crdt_sync.lazy"]
