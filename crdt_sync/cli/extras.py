"""Commands that need more packages than a device has: where those are missing, say what to install."""

import importlib
import sys

from crdt_sync.cli.output import Output
from crdt_sync.errors import CrdtSyncError
from crdt_sync.starting import imported


class ExtraMissing(CrdtSyncError):
    """The packages of an extra of this distribution are not installed."""

    code = "extra_missing"

    def __init__(self, program: str, extra: str, package: str) -> None:
        super().__init__(
            f"{program} needs packages that a device does not, and {package} is not installed here",
            f"Install them with: python3 -m pip install 'crdt-sync[{extra}]'",
        )


def run(program: str, module: str, extra: str) -> int:
    """Run `main` of `module`, which may need the packages of `extra`; returns its exit code."""
    try:
        command = importlib.import_module(module)
    except ModuleNotFoundError as missing:
        package = (missing.name or "").partition(".")[0]
        if package in {"", "crdt_sync", module.partition(".")[0]}:  # our own mistake, not a missing extra
            raise
        Output(as_json="--json" in sys.argv).error(ExtraMissing(program, extra, package))
        return ExtraMissing.exit_code
    imported()
    return command.main() or 0
