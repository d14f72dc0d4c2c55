"""The end of a policy's text, which the relay writes: who has logged in, when, and by which values of the claim.

[login.users]  # kept by the relay
"eva@example.org" = { at = 2026-12-01T14:03:00Z, by = ["sales-north"] }
"""

import json
from collections.abc import Mapping
from datetime import UTC, datetime

from crdt_sync.policy.logins import LoggedIn

BEGINNING = "\n[login.users]  # kept by the relay\n"
_SECOND_US = 1_000_000


def with_users(text: str, users: Mapping[str, LoggedIn]) -> str:
    """The operator's text, with these users at its end."""
    return (
        text + BEGINNING + "".join(map(_line, sorted(users), map(users.__getitem__, sorted(users)))) if users else text
    )


def without_users(text: str, users: Mapping[str, LoggedIn]) -> str:
    """The operator's text again, out of one that says these users."""
    return text[: text.rindex(BEGINNING)] if users else text  # no operator's text says any, so the last one is ours


def _line(user: str, login: LoggedIn) -> str:
    at = datetime.fromtimestamp(login.at // _SECOND_US, UTC)
    return f"{_quoted(user)} = {{ at = {at:%Y-%m-%dT%H:%M:%SZ}, by = [{', '.join(map(_quoted, login.by))}] }}\n"


def _quoted(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)  # a text of JSON is one of TOML, where it is printable
