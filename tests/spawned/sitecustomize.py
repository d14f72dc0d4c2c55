"""Runs at the start of every Python that a test spawns: sessions there, too, change their state as the table says.

The folder of this file is in `PYTHONPATH` while tests run, and nowhere else. What a process finds it writes into the
file that `CRDT_SYNC_STATES_BROKEN` names, as its host may log it only; see `state_table` in `tests/conftest.py`.
"""

import os
import sys

TYPE_CHECKING = False  # nothing is imported here that a command might not need
if TYPE_CHECKING:
    from typing import Any

_MODULE = "crdt_sync.protocol.session"
_BROKEN = "CRDT_SYNC_STATES_BROKEN"


class _Finder:
    """Has sessions checked as soon as there can be any: who has none does not pay for it."""

    def find_spec(self, name, path=None, target=None):
        if name != _MODULE:
            return None
        sys.meta_path.remove(self)
        from importlib.util import find_spec  # noqa: PLC0415

        spec = find_spec(name)
        if spec is not None and spec.loader is not None:
            loader: Any = spec.loader
            execute = loader.exec_module

            def checked(module):
                execute(module)
                _enforce()

            loader.exec_module = checked
        return spec


def _enforce():
    try:
        from crdt_bench.simulator.checkers import transitions  # noqa: PLC0415
    except ImportError:  # a Python that has the library alone
        return
    transitions.enforce(_note)


def _note(failure):
    with open(os.environ[_BROKEN], "a", encoding="utf-8") as broken:
        broken.write(f"{failure} ({' '.join(sys.argv[:3])})\n")


if _BROKEN in os.environ:
    sys.meta_path.insert(0, _Finder())
