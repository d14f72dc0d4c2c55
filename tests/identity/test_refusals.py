"""Every reason has a next step, and is told in docs/security.md."""

import re
from pathlib import Path

from crdt_sync.errors import IdentityRefused, Unauthorized
from crdt_sync.identity.refusals import NEXT_STEPS, Reason, refused

SECURITY = Path(__file__).resolve().parents[2] / "docs" / "security.md"


def test_every_reason_has_a_next_step_and_fits_a_bye() -> None:
    assert set(NEXT_STEPS) == set(Reason)
    for why in Reason:
        assert re.fullmatch(r"[a-z][a-z0-9_]{0,47}", why)
        assert NEXT_STEPS[why].endswith(".")


def test_the_reasons_are_those_of_the_document() -> None:
    section = SECURITY.read_text("utf-8").split("\n## Reasons\n")[1]
    assert re.findall(r"^\| `(\w+)` \|", section, re.MULTILINE) == [str(why) for why in Reason]


def test_the_reasons_that_the_document_names_for_attacks_exist() -> None:
    named = re.findall(r"`((?:key|statement|token|proof|invite|device|user)_\w+)`", SECURITY.read_text("utf-8"))
    assert set(named) <= {str(why) for why in Reason}


def test_a_refusal_tells_programs_its_reason() -> None:
    error = refused(Reason.TOKEN_EXPIRED, "the token expired 3 days ago")
    assert isinstance(error, IdentityRefused)
    assert isinstance(error, Unauthorized)
    assert (error.exit_code, error.retryable) == (4, False)
    assert error.as_dict() == {
        "error": "identity_refused",
        "message": "the token expired 3 days ago",
        "hint": NEXT_STEPS[Reason.TOKEN_EXPIRED],
        "retryable": False,
        "uncertain": False,
        "reason": "token_expired",
    }
