"""Build hook: with `CRDT_SYNC_COMPILE=1` in the environment, a wheel brings the hottest modules compiled.

mypyc makes C of them, so it takes a C compiler and a minute; their sources are in the wheel as well, for tracebacks.
Without the variable the wheel is pure Python. With `unoptimised` in the place of 1 the compiler hurries: half the work,
for tests, since what mypyc makes of a module is the same.

Messages and what checks them are left as they are: a compiled constructor raises `TypeError` for a field of another
type before its own check can say which field it is.
"""

import contextlib
import os
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

VARIABLE = "CRDT_SYNC_COMPILE"
UNOPTIMISED = "unoptimised"
_RECORDS = "crdt_sync/records"
_PROTOCOL = "crdt_sync/protocol"
_STORAGE = "crdt_sync/storage"
_RUNTIME = "crdt_sync/runtime"
MODULES = (
    f"{_RECORDS}/roots.py",
    f"{_RECORDS}/document.py",
    *(
        f"{_RECORDS}/updates/{name}.py"
        for name in (
            "bytes_diff",
            "delete_set",
            "halves",
            "lists",
            "objects",
            "one_entry",
            "pairs",
            "parts",
            "state_vector",
            "stepping",
            "update",
            "varint",
            "written",
        )
    ),
    *(f"{_RECORDS}/gate/{name}.py" for name in ("contradictions", "integrate", "loaded", "walks", "well_placed")),
    *(f"{_PROTOCOL}/{name}.py" for name in ("live_pages", "quotas", "taking")),
    *(f"{_PROTOCOL}/hub/{name}.py" for name in ("hub", "lanes", "pipeline", "presence")),
    f"{_STORAGE}/keys.py",
    *(f"{_STORAGE}/lmdb/{name}.py" for name in ("codec", "commit", "packing", "reads", "recent")),
    *(f"{_RUNTIME}/hosting/{name}.py" for name in ("fair_queue", "following", "tails", "uncommitted")),
    *(f"{_RUNTIME}/worker/{name}.py" for name in ("pipe", "plan")),
)
_OPTIONS = (  # of mypy: the project's own are for checking, and nothing that is installed may change what comes out
    "--config-file=",
    "--no-site-packages",
    "--ignore-missing-imports",
)
_GROUP = "crdt_sync_compiled"  # of the one library that the modules' own are doors to


class CompiledModules(BuildHookInterface):  # type: ignore[type-arg]  # the type of settings that there are none of
    """See the module."""

    def dependencies(self) -> list[str]:
        """What building needs beside hatchling."""
        return ["mypy>=2.4", "setuptools>=80"] if _wanted() else []

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Compile, unless the wheel is an editable one, whose sources are to be edited."""
        if version != "standard" or not _wanted():
            return
        folder = TemporaryDirectory(prefix="crdt-sync-")
        self._compiled = folder  # until `finalize`
        with contextlib.chdir(self.root):
            libraries = _compile(Path(folder.name))
        build_data["force_include"].update(libraries)
        build_data["pure_python"] = False
        build_data["infer_tag"] = True

    def finalize(self, version: str, build_data: dict[str, Any], artifact_path: str) -> None:
        """The wheel is written: nobody needs what it was made of any more."""
        if (folder := getattr(self, "_compiled", None)) is not None:
            folder.cleanup()


def _wanted() -> bool:
    return os.environ.get(VARIABLE, "0") not in ("", "0")


def _levels() -> tuple[str, str]:
    """How far the C compiler optimises, and how much it tells a debugger."""
    return ("0", "0") if os.environ[VARIABLE] == UNOPTIMISED else ("3", "1")


def _compile(folder: Path) -> dict[str, str]:
    """Where each library was written, to where it stands in the wheel."""
    from mypyc.build import mypycify  # noqa: PLC0415 - installed where it is wanted
    from setuptools import Distribution  # noqa: PLC0415

    optimised, told = _levels()
    extensions = mypycify(
        [*_OPTIONS, *MODULES],
        opt_level=optimised,
        debug_level=told,
        group_name=_GROUP,
        target_dir=str(folder / "c"),
        log_trace=False,
    )
    command: Any = Distribution({"name": "crdt-sync", "ext_modules": extensions}).get_command_obj("build_ext")
    command.build_lib, command.build_temp = str(folder / "lib"), str(folder / "objects")
    command.parallel = os.cpu_count()
    with contextlib.redirect_stdout(sys.stderr):
        command.ensure_finalized()
        command.run()
    return {path: Path(path).relative_to(command.build_lib).as_posix() for path in command.get_outputs()}


def get_build_hook() -> type[BuildHookInterface]:  # type: ignore[type-arg]
    """What hatchling asks for."""
    return CompiledModules
