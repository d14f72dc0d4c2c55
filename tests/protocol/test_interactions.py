"""The interactions in `docs/interactions` are what the shipped ends say: each script is played, line by line."""

import difflib
from pathlib import Path

import pytest

from tests.protocol.staged import play

SCRIPTS = Path(__file__).parents[2] / "docs" / "interactions"


def check(script: str) -> None:
    """Fail, with the lines that differ, where what really happens is not what the script says."""
    played = play(script)
    if played != script:
        lines = difflib.unified_diff(
            script.splitlines(), played.splitlines(), "the script", "what happens", lineterm="", n=2
        )
        pytest.fail("\n".join(lines), pytrace=False)


@pytest.mark.parametrize("path", sorted(SCRIPTS.glob("*.txt")), ids=lambda path: path.stem)
def test_an_interaction_is_as_the_script_says(path: Path) -> None:
    check(path.read_text("utf-8"))


def test_every_script_is_linked_from_the_protocol() -> None:
    text = (SCRIPTS.parent / "protocol.md").read_text("utf-8")
    scripts = sorted(path.name for path in SCRIPTS.glob("*.txt"))
    assert len(scripts) >= 10
    assert [name for name in scripts if f"(interactions/{name})" not in text] == []


def test_a_wrong_line_fails_with_a_readable_difference() -> None:
    script = (SCRIPTS / "first-push.txt").read_text("utf-8")
    wrong = script.replace("verdicts=[accepted 1", "verdicts=[accepted 2")
    assert wrong != script
    with pytest.raises(pytest.fail.Exception) as failed:
        check(wrong)
    lines = str(failed.value).splitlines()
    assert any(line.startswith("-  relay > ann  Ack") and "accepted 2" in line for line in lines)
    assert any(line.startswith("+  relay > ann  Ack") and "accepted 1" in line for line in lines)


def test_a_line_that_is_missing_and_one_too_many_fail() -> None:
    lines = (SCRIPTS / "first-push.txt").read_text("utf-8").splitlines(keepends=True)
    place = next(place for place, line in enumerate(lines) if " Ack " in line)
    for wrong in (
        lines[:place] + lines[place + 1 :],
        lines[:place] + lines[place:] + ["  relay > ann  Pong number=1\n"],
    ):
        with pytest.raises(pytest.fail.Exception, match="what happens"):
            check("".join(wrong))


def test_a_step_that_nobody_knows_is_named() -> None:
    with pytest.raises(AssertionError, match="no step says: ann dances"):
        play("A dance.\n\n- ann dances\n")
