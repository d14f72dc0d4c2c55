"""The host in docs/driving-the-core.md does what a host must do."""

import re
import subprocess
import sys
from pathlib import Path

DOCUMENT = Path(__file__).parents[1] / "docs" / "driving-the-core.md"
_TEXT = DOCUMENT.read_text(encoding="utf-8")


def test_the_minimal_host_serves_shipped_devices(tmp_path: Path) -> None:
    (example,) = re.findall(r"^```python\n(.*?)^```$", _TEXT, re.MULTILINE | re.DOTALL)
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", example],
        cwd=tmp_path,
        env={"PYTHONPATH": str(DOCUMENT.parents[1]), "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.stdout, done.stderr) == ("Müller GmbH\n", "")


def test_the_duties_are_numbered_and_those_that_the_host_names_are_there() -> None:
    numbers = [int(number) for number in re.findall(r"^(\d+)\. ", _TEXT, re.MULTILINE)]
    assert numbers == list(range(1, len(numbers) + 1))
    named = {int(number) for marks in re.findall(r"  # (\d+(?: and \d+)?)", _TEXT) for number in marks.split(" and ")}
    assert named <= set(numbers)
    assert len(named) > 5
