"""Processes that tests spawn check the states of their sessions, and the test that spawned them fails."""

import subprocess
import sys
from pathlib import Path

_BREAKS = """
from crdt_sync.protocol.session import Session
from crdt_sync.protocol.states import State
session = object.__new__(Session)
try:
    session.state = State.LIVE
except Exception as error:
    print(error)
"""


def test_a_spawned_process_that_leaves_the_table_is_noticed(broken_states: Path) -> None:
    said = subprocess.run([sys.executable, "-c", _BREAKS], capture_output=True, text=True, check=True).stdout
    assert "leads to live, which the table does not say" in said
    assert "leads to live" in broken_states.read_text("utf-8")
    broken_states.unlink()


def test_one_that_has_no_session_imports_nothing_for_it() -> None:
    code = "import sys, crdt_sync.replica.replica; print('crdt_bench' in sys.modules)"
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert said == "False\n"
