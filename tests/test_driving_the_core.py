"""The host in docs/driving-the-core.md does what a host must do."""

import re
import subprocess
import sys
from pathlib import Path

from crdt_bench.minimal import host

DOCUMENT = Path(__file__).parents[1] / "docs" / "driving-the-core.md"
_TEXT = DOCUMENT.read_text(encoding="utf-8")
_CODE = re.findall(r"^```python\n(.*?)^```$", _TEXT, re.MULTILINE | re.DOTALL)


def test_the_host_that_is_shown_is_the_one_that_tests_run_on() -> None:
    assert _CODE[0] == Path(host.__file__).read_text(encoding="utf-8")


def test_the_minimal_host_serves_shipped_devices(tmp_path: Path) -> None:
    _, example = _CODE
    for _ in range(2):
        done = subprocess.run(
            [sys.executable, "-W", "error", "-c", example],
            cwd=tmp_path,
            env={"PYTHONDONTWRITEBYTECODE": "1"},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert (done.stdout, done.stderr) == ("Müller GmbH\n", "")


def test_the_duties_are_numbered_and_those_that_the_host_names_are_there() -> None:
    numbers = [int(number) for number in re.findall(r"^(\d+)\. ", _TEXT, re.MULTILINE)]
    assert numbers == list(range(1, len(numbers) + 1))
    named = {
        int(number)
        for marks in re.findall(r"(?:  # |\(|\"\"\")(\d+(?: and \d+)?)[).:\n]", _CODE[0])
        for number in marks.split(" and ")
    }
    assert named <= set(numbers)
    assert len(named) > 5
