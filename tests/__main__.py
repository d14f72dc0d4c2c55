"""Every check of this project: `python -m tests`. Its last is also `--compiled-quickly`; `--compiled [SECONDS]` does
more of that, on a wheel as people build it.
"""

import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tests import compiled

ROOT = Path(__file__).resolve().parents[1]
FIRST = (("lint", ("-m", "ruff", "check", "--quiet")), ("format", ("-m", "ruff", "format", "--check", "--quiet")))
BESIDE = (  # each keeps one processor busy for as long as a tenth of the tests, so that they run beside them
    ("types", ("-m", "mypy")),
    ("layers", ("-c", "from importlinter.cli import lint_imports_command; lint_imports_command()")),
)
COMPILE = ("-m", "pytest", "-n", "0", "--collect-only")
TESTS = ("tests", ("-m", "pytest"))


def main() -> int:
    """Run all checks, the tests only where the quick ones pass; the exit code is that of the first that failed."""
    for check in FIRST:
        if code := _run(*check):
            return code
    with ThreadPoolExecutor(len(BESIDE)) as pool:
        beside = [pool.submit(_run, *check, aside=True) for check in BESIDE]
        if not (ROOT / "tests" / "cli" / "__pycache__").exists():
            # In a new clone each of the processes that run the tests would compile all modules: one does it before.
            subprocess.run([sys.executable, *COMPILE], cwd=ROOT, check=False, stdout=subprocess.DEVNULL)
        tests = _run(*TESTS)
        if code := next(filter(None, (each.result() for each in beside)), tests):
            return code
    return _compiled()


def _compiled() -> int:
    """Tests of what can be compiled, compiled: the last check, where that can be done here."""
    if lacking := compiled.missing():
        print(f"== compiled: LEFT OUT, {lacking}", flush=True)
        return 0
    return _run("compiled", ("-m", "tests", "--compiled-quickly"))


def _run(name: str, arguments: tuple[str, ...], *, aside: bool = False) -> int:
    """Run one check and say how it ended. What one `aside` prints comes in one piece at its end."""
    if not aside:
        print(f"== {name}", flush=True)
    started = time.monotonic()
    done = subprocess.run(
        [sys.executable, *arguments],
        cwd=ROOT,
        check=False,
        stdout=subprocess.PIPE if aside else None,
        stderr=subprocess.STDOUT if aside else None,
        text=True,
    )
    outcome = "ok" if done.returncode == 0 else "FAILED"
    print(f"{done.stdout or ''}\n== {name}: {outcome} in {time.monotonic() - started:.0f} s".strip(), flush=True)
    return done.returncode


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["--compiled", *seconds]:
            sys.exit(compiled.check(*map(float, seconds or ["60"])))
        case ["--compiled-quickly"]:
            sys.exit(compiled.check_quickly())
        case _:
            sys.exit(main())
