"""The checks that message constructors are made of. Each raises `ValueError` with the field and what is wrong."""

from typing import NoReturn

from crdt_sync.ids import is_record
from crdt_sync.limits import INTEGER_EXACT_MAX, REASON_LENGTH_MAX, RETRY_AFTER_MS_MAX, STATE_VECTOR_BYTES_MAX
from crdt_sync.protocol.entries import MARK_BYTES, CheckedEntry, Standing
from crdt_sync.verdicts import Verdict, VerdictCode

DIGEST_BYTES = 16


def refuse(field: str, problem: str) -> NoReturn:
    """Raise the `ValueError` that names the field."""
    raise ValueError(f"{field} {problem}")


def check_integer(field: str, value: object, at_least: int = 0, at_most: int = INTEGER_EXACT_MAX) -> None:
    """An integer between the bounds."""
    if type(value) is not int:  # exact: a bool is an int to Python, not to the wire
        refuse(field, f"is {type(value).__name__}, not an integer")
    if not at_least <= value <= at_most:
        refuse(field, f"is not between {at_least} and {at_most}")


def check_bytes(field: str, value: object, at_least: int, at_most: int) -> None:
    """A byte string of that many bytes."""
    if type(value) is not bytes:
        refuse(field, f"is {type(value).__name__}, not a byte string")
    if not at_least <= len(value) <= at_most:
        refuse(field, f"has {len(value)} bytes, not {at_least} to {at_most}")


def check_place(field: str, value: object) -> None:
    """A number of the log, or a mark."""
    if type(value) is int and 0 <= value <= INTEGER_EXACT_MAX:
        return
    if type(value) is not bytes:
        check_integer(field, value)  # says what is wrong
    check_bytes(field, value, MARK_BYTES, MARK_BYTES)


def check_record(field: str, value: object) -> None:
    """A record id."""
    if type(value) is not str or not is_record(value):
        refuse(field, "is not a record id")


def check_text(field: str, value: object, at_most: int, at_least: int = 0) -> None:
    """A text of that many characters, without lone surrogates."""
    if type(value) is not str:
        refuse(field, f"is {type(value).__name__}, not a text")
    if not at_least <= len(value) <= at_most:
        refuse(field, f"has {len(value)} characters, not {at_least} to {at_most}")
    if not value.isascii() and any("\ud800" <= character <= "\udfff" for character in value):
        refuse(field, "holds a lone surrogate")


def check_flag(field: str, value: object) -> None:
    """True or false."""
    if type(value) is not bool:
        refuse(field, f"is {type(value).__name__}, not true or false")


def check_length(field: str, value: object, at_most: int, at_least: int = 0) -> None:
    """A tuple of that many entries."""
    if type(value) is not tuple:
        refuse(field, f"is {type(value).__name__}, not a tuple")
    if not at_least <= len(value) <= at_most:
        refuse(field, f"has {len(value)} entries, not {at_least} to {at_most}")


def check_standing(field: str, entry: CheckedEntry) -> None:
    """A record's standing, with digests exactly where it is of stored bytes that could be read."""
    if type(entry.standing) is not Standing:
        refuse(f"{field}.standing", "is not a standing")
    length = DIGEST_BYTES if entry.standing < Standing.CHANGING else 0
    check_bytes(f"{field}.state", entry.state, length, length)
    check_bytes(f"{field}.content", entry.content, length, length)


def check_refusal(verdict: Verdict) -> None:
    """A verdict that is more than `accepted, seq`."""
    if type(verdict.code) is not VerdictCode:
        refuse("ack.verdicts.code", "is not a verdict code")
    if verdict.code is VerdictCode.ACCEPTED:
        refuse("ack.verdicts", "gives a reason, a state vector or a time for an accepted update")
    if verdict.seq != 0:
        refuse("ack.verdicts.seq", "is given for an update that was refused")
    at_least, at_most = (1, STATE_VECTOR_BYTES_MAX) if verdict.code is VerdictCode.GAP else (0, 0)
    check_bytes("ack.verdicts.state_vector", verdict.state_vector, at_least, at_most)
    check_text("ack.verdicts.reason", verdict.reason, REASON_LENGTH_MAX)
    _check_retry_after(verdict)


def _check_retry_after(verdict: Verdict) -> None:
    if verdict.retry_after is None:
        if verdict.code is VerdictCode.RATE_LIMITED:
            refuse("ack.verdicts.retry_after", "is missing for an update that came too fast")
        return
    if verdict.code not in {VerdictCode.QUOTA, VerdictCode.RATE_LIMITED}:
        refuse("ack.verdicts.retry_after", f"is given for the verdict {verdict.code}")
    ms, everything = verdict.retry_after
    if type(ms) is not int or not 0 < ms <= RETRY_AFTER_MS_MAX:
        refuse("ack.verdicts.retry_after", f"is not 1 to {RETRY_AFTER_MS_MAX} milliseconds")
    if type(everything) is not bool:
        refuse("ack.verdicts.retry_after", "does not say whether it is of all updates")
