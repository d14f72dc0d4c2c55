"""Hostile bytes that the code's own branches lead to: a coverage-guided fuzzer on every reader of one input."""

import importlib.util
import re
import subprocess
import sys
import tempfile
from pathlib import Path

from crdt_bench.campaign.hostile_inputs import READERS, Reader
from crdt_bench.campaign.mutation import corpus
from crdt_bench.campaign.tally import Tally

_INPUT_BYTES_MAX = 1 << 16
_INPUT_SECONDS_MAX = 5
_MEMORY_MIB_MAX = 2048
_SHOWN_LINES = 5
_EXECUTED = re.compile(r"stat::number_of_executed_units: (\d+)")
_COVERED = re.compile(r" cov: (\d+) ft: \d+ corp: (\d+)")


def missing() -> str:
    """Why the fuzzer cannot run here, or nothing."""
    found = importlib.util.find_spec("atheris")
    return "" if found else "atheris is not installed: pip install 'crdt-sync[fuzz]'"


def run(seed: int, count: int, readers: tuple[Reader, ...] = READERS, planted: str = "") -> Tally:
    """About `count` inputs in all. The fuzzing process imports `planted`, a module that may plant a bug, first."""
    tally = Tally("guided fuzzing", "inputs", seed, skipped=missing())
    if not tally.skipped:
        for reader in readers:
            _fuzz(reader, seed, max(count // len(readers), 1), planted, tally)
    return tally


def _fuzz(reader: Reader, seed: int, count: int, planted: str, tally: Tally) -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        inputs = folder / "inputs"
        inputs.mkdir()
        for number, kept in enumerate(corpus(reader.kind)):
            (inputs / f"kept-{number}").write_bytes(kept)
        done = subprocess.run(
            [
                *(sys.executable, "-m", "crdt_bench.campaign.guided_child"),
                *(reader.name, reader.module, planted),
                *(f"-runs={count}", f"-seed={seed + 1}", f"-max_len={_INPUT_BYTES_MAX}"),
                *(f"-timeout={_INPUT_SECONDS_MAX}", f"-rss_limit_mb={_MEMORY_MIB_MAX}"),
                *("-print_final_stats=1", f"-artifact_prefix={folder}/", str(inputs)),
            ],
            cwd=Path(__file__).parents[3],
            capture_output=True,
            check=False,
        )
        said = done.stdout.decode("utf-8", "replace") + done.stderr.decode("utf-8", "replace")
        executed = _EXECUTED.search(said)
        ran = int(executed[1]) if executed else 0
        tally.ran += ran
        tally.outcomes[reader.name] += ran
        if covered := _COVERED.findall(said):
            tally.figures.append(f"  {reader.name}: {covered[-1][0]} branches, {covered[-1][1]} inputs lead to them")
        if done.returncode:
            culprits = [path.read_bytes() for path in folder.iterdir() if path.is_file()]
            shown = culprits[0].hex() if culprits else "none kept"
            tally.found(f"{reader.name}, input {shown}: exit code {done.returncode}\n{_reason(said)}")


def _reason(said: str) -> str:
    lines = [line for line in said.splitlines() if not line.startswith(("#", "stat::", "INFO:"))]
    start = next((at for at, line in enumerate(lines) if "Uncaught Python exception" in line), 0)
    return "\n".join(lines[start : start + _SHOWN_LINES] if start else lines[-_SHOWN_LINES:])
