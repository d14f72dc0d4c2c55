"""The transition table: which message may arrive in which state, and who handles it.

Rules:

1. A pair (state, message) that is not in the table is a protocol violation: the session says bye and ends.
2. `Bye`, `Ping` and `Pong` are allowed in every open state of both roles.
3. A handler moves the session only to the states that its row names, or ends it with a protocol violation. Without a
   message a session moves only as `DIALER_MOVES` and `ACCEPTOR_MOVES` say, or closes. Tests and the simulator check
   every change of a session's state against both.
4. `Ranges` outside of comparing belong to an audit, and are a violation where none runs. An audit changes no state:
   each end may go back to catching up, and live again, while it runs.

5. Where the version has terms, they are the dialer's first message after hello and come once. An acceptor has begun to
   serve meanwhile, so that they cost no round trip.
6. What the space said may come at any time. To a dialer it comes before the terms where it is not let in: it hears so
   why, signed by its space, and then the bye.

The tables in `docs/protocol.md` are printed from here, and a test compares them.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum

from crdt_sync.protocol.messages import (
    Ack,
    Audit,
    Bye,
    Changes,
    Check,
    Checked,
    Dropped,
    Have,
    Hello,
    Message,
    NewToken,
    Noted,
    Ping,
    Pong,
    Presence,
    Push,
    Ranges,
    Receipt,
    ReceiptRequest,
    Regranted,
    Reported,
    Said,
    Terms,
    Updates,
    Want,
    Welcome,
)


class State(Enum):
    """Where a session stands. The two roles share the names that mean the same."""

    GREETING = "greeting"  # hello or welcome is awaited
    AGREEING = "agreeing"  # the dialer awaits the terms that come with the welcome
    COMPARING = "comparing"  # digests are reconciled: the partners share no epoch
    CATCHING_UP = "catching up"  # changes since the cursor are fetched
    LIVE = "live"  # everything known was exchanged; committed updates flow as they come
    CLOSED = "closed"

    __hash__ = object.__hash__  # each frame looks one up, and the hash of `Enum` is computed in Python


@dataclass(frozen=True, slots=True)
class Transition:
    """One row of the table."""

    state: State
    message: type[Message]
    handler: str
    leads_to: tuple[State, ...]


@dataclass(frozen=True, slots=True)
class Move:
    """How a session comes from one state to another without a message: by the host's answers, or when it has room."""

    state: State
    leads_to: State
    when: str


OPEN = (State.COMPARING, State.CATCHING_UP, State.LIVE)


def _rows(states: tuple[State, ...], message: type[Message], handler: str, *leads_to: State) -> list[Transition]:
    return [Transition(state, message, handler, leads_to or (state,)) for state in states]


_COMMON = [
    *_rows((State.GREETING, *OPEN), Bye, "bye", State.CLOSED),
    *_rows(OPEN, Ping, "ping"),
    *_rows(OPEN, Pong, "pong"),
    *_rows(OPEN, Presence, "presence"),
]

DIALER = [
    *_COMMON,
    *_rows((State.GREETING,), Welcome, "welcome", State.AGREEING, *OPEN),
    *_rows((State.AGREEING,), Bye, "bye", State.CLOSED),
    *_rows((State.AGREEING,), Terms, "terms", *OPEN, State.CLOSED),
    *_rows((State.AGREEING, *OPEN), Said, "said"),
    *_rows(OPEN, NewToken, "new_token"),
    *_rows((State.CATCHING_UP, State.LIVE), Noted, "noted"),
    *_rows((State.COMPARING,), Ranges, "ranges", State.COMPARING, State.CATCHING_UP),
    *_rows((State.CATCHING_UP, State.LIVE), Changes, "changes", State.CATCHING_UP),
    *_rows((State.COMPARING,), Updates, "updates", State.COMPARING, State.CATCHING_UP),
    *_rows((State.CATCHING_UP, State.LIVE), Updates, "updates"),
    *_rows((State.CATCHING_UP, State.LIVE), Ranges, "audit_ranges"),
    *_rows((State.CATCHING_UP, State.LIVE), Checked, "checked"),
    *_rows(OPEN, Ack, "ack"),
    *_rows(OPEN, Receipt, "receipt"),
    *_rows(OPEN, Dropped, "dropped"),
    *_rows((State.CATCHING_UP,), Regranted, "regranted"),
    *_rows((State.LIVE,), Regranted, "regranted", State.CATCHING_UP),
]

ACCEPTOR = [
    *_COMMON,
    *_rows((State.GREETING,), Hello, "hello", *OPEN, State.CLOSED),
    *_rows(OPEN, Terms, "terms"),
    *_rows(OPEN, Said, "said"),
    *_rows((State.COMPARING,), Ranges, "ranges", State.COMPARING, State.CATCHING_UP),
    *_rows((State.COMPARING,), Want, "want", State.COMPARING, State.CATCHING_UP),
    *_rows((State.CATCHING_UP, State.LIVE), Want, "want"),
    *_rows((State.CATCHING_UP, State.LIVE), Audit, "audit"),
    *_rows((State.CATCHING_UP, State.LIVE), Ranges, "audit_ranges"),
    *_rows((State.CATCHING_UP, State.LIVE), Check, "check"),
    *_rows(OPEN, Have, "have"),
    *_rows(OPEN, Push, "push"),
    *_rows(OPEN, ReceiptRequest, "receipt_request"),
    *_rows((State.CATCHING_UP, State.LIVE), Reported, "reported"),
]

DIALER_MOVES = (
    Move(State.COMPARING, State.CATCHING_UP, "all that differs was asked for or is in the outbox"),
    Move(State.CATCHING_UP, State.LIVE, "the end of the feed has come, and everything before it is stored"),
)

ACCEPTOR_MOVES = (
    Move(State.COMPARING, State.CATCHING_UP, "nothing differs, which the partner's first ranges show"),
    Move(State.CATCHING_UP, State.LIVE, "it tells the end of the feed"),
    Move(State.LIVE, State.CATCHING_UP, "the partner is too far back in the log, or before a compaction"),
    Move(State.LIVE, State.CATCHING_UP, "what the partner may hold has changed"),
)

Table = dict[tuple[State, type[Message]], Transition]


def index(rows: list[Transition]) -> Table:
    """The table by (state, message type). A pair that stands twice is a mistake in the table."""
    table = {(row.state, row.message): row for row in rows}
    assert len(table) == len(rows)
    return table


DIALER_TABLE = index(DIALER)
ACCEPTOR_TABLE = index(ACCEPTOR)


def as_markdown(rows: list[Transition]) -> str:
    """The table as it stands in `docs/protocol.md`."""
    lines = ["| state | message | may lead to |", "|---|---|---|"]
    ordered = sorted(rows, key=lambda row: (list(State).index(row.state), row.message.__name__))
    for row in ordered:
        targets = ", ".join(state.value for state in row.leads_to)
        lines.append(f"| {row.state.value} | `{row.message.__name__}` | {targets} |")
    return "\n".join(lines) + "\n"


def moves_as_markdown(moves: Sequence[Move]) -> str:
    """The moves without a message as they stand in `docs/protocol.md`."""
    lines = ["| state | leads to | when |", "|---|---|---|"]
    lines += [f"| {move.state.value} | {move.leads_to.value} | {move.when} |" for move in moves]
    return "\n".join(lines) + "\n"
