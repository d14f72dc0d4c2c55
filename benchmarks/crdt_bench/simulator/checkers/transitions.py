"""Sessions change their state only as the table says: by a message that has a row, or by a move of their own.

What is checked is every assignment to the state of every session in this process, while `enforced` runs.
"""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, nullcontext
from operator import attrgetter
from typing import Any

from crdt_bench.simulator.failure import Failure
from crdt_sync.protocol.messages import Message
from crdt_sync.protocol.session import Session
from crdt_sync.protocol.states import State, Transition

_ROW = "_row of the message that is handled"
_STATE = "state"  # where the attribute itself would be
_CHECKED = "_checked_state"  # where it is read from while it is checked: without a call of ours, as it is read often
_listening: list[Callable[[Failure], object]] = []


@contextmanager
def enforced() -> Iterator[list[Failure]]:
    """A move that the table does not know raises `Failure` where it is made, and is listed, as a host may log it only.

    May be entered while it runs already.
    """
    found: list[Failure] = []
    note = found.append
    _listening.append(note)
    try:
        with nullcontext() if _STATE in vars(Session) else _patched():
            yield found
    finally:
        _listening.remove(note)


def enforce(note: Callable[[Failure], object]) -> None:
    """The same until this process ends; `note` hears of each."""
    _listening.append(note)
    _for_good.enter_context(_patched())


_for_good = ExitStack()


@contextmanager
def _patched() -> Iterator[None]:
    handle = Session._handle

    def handled(session: Session, row: Transition, message: Message, now: int) -> None:
        vars(session)[_ROW] = row
        try:
            handle(session, row, message, now)
        finally:
            del vars(session)[_ROW]
        _check(session, row, row.state, session.state)

    patched: Any = Session
    patched._handle = handled
    patched.state = property(attrgetter(_CHECKED), _move)
    try:
        yield
    finally:
        del patched.state
        patched._handle = handle


def put(session: Session, state: State) -> None:
    """Put a session into a state, whatever the table says: where a test begins."""
    vars(session)[_STATE] = vars(session)[_CHECKED] = state


def _move(session: Session, after: State) -> None:
    before = vars(session).get(_STATE)
    if before is not after:
        _check(session, vars(session).get(_ROW), before, after)
    vars(session)[_STATE] = vars(session)[_CHECKED] = after


def _check(session: Session, row: Transition | None, before: State | None, after: State) -> None:
    if row is not None:
        allowed = after in row.leads_to
    elif before is None:
        allowed = after is State.GREETING
    else:
        own = any((move.state, move.leads_to) == (before, after) for move in session.moves)
        allowed = before is not State.CLOSED and (own or after is State.CLOSED)
    if not allowed:
        by = f"{row.message.__name__} in {row.state.value}" if row else f"no message in {before and before.value}"
        what = f"{type(session).__name__}: {by} leads to {after.value}, which the table does not say"
        failure = Failure("states", what)
        for note in _listening:
            note(failure)
        raise failure
