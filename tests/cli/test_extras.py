"""A device's installation holds the other commands too: they say what they lack."""

import sys

import pytest

from crdt_sync.cli import extras


def test_a_missing_package_of_an_extra_is_said_with_what_to_install(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "structlog", None)
    for name in [name for name in sys.modules if name.partition(".")[0] == "crdt_relay"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setattr(sys, "argv", ["crdt-relay", "serve"])
    assert extras.run("crdt-relay", "crdt_relay.cli", "relay") == 1
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("Error (extra_missing): crdt-relay needs packages that a device does not, and structlog")
    assert "pip install 'crdt-sync[relay]'" in err
    assert "Traceback" not in err


def test_a_missing_module_of_ours_is_a_mistake_and_not_an_extra() -> None:
    with pytest.raises(ModuleNotFoundError):
        extras.run("crdt-relay", "crdt_relay.nothing", "relay")


def test_the_command_runs_and_its_exit_code_is_returned(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["crdt-relay", "serve", "--port", "nothing"])
    assert extras.run("crdt-relay", "crdt_relay.cli", "relay") == 2
    assert "Error (usage)" in capsys.readouterr().err
