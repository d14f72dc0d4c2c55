"""The fuzzing process: `python -m crdt_bench.campaign.guided_child READER MODULE PLANTED [LIBFUZZER-OPTION]...`."""

import importlib
import random
import sys
import zlib

import atheris


def main() -> None:
    """Fuzz the named reader until it is through, or finds something, which ends the process with an exit code."""
    program, name, module, planted, *options = sys.argv
    with atheris.instrument_imports(include=["crdt_sync", "crdt_relay"]):
        importlib.import_module(module)
    inputs = importlib.import_module("crdt_bench.campaign.hostile_inputs")
    if planted:
        importlib.import_module(planted)
    reader = next(reader for reader in inputs.READERS if reader.name == name)

    def feed(data: bytes) -> None:
        reader.feed(data, random.Random(zlib.crc32(data)))  # one input does one thing, or nobody could repeat it

    atheris.Setup([program, *options], feed)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
