"""Who is about to say hello, as the transports introduce them and the engine knows them.

A transport that accepts a connection hands the headers of its request to an `Introduce`, adds the guest's headers to
its answer, and lets the guest's `authorise` decide on the hello.
"""

from collections.abc import Callable, Sequence
from typing import Protocol

from crdt_sync.errors import IdentityRefused
from crdt_sync.identity.refusals import Reason
from crdt_sync.identity.statements import Statements, Versions
from crdt_sync.limits import INTEGER_EXACT_MAX
from crdt_sync.protocol.acceptor import Authorise, Refusal
from crdt_sync.protocol.handing_in import HandedIn
from crdt_sync.protocol.messages import Hello
from crdt_sync.protocol.principal import Principal

Told = Callable[[str], Sequence[str]]
"""The values of a header of the request, by its name."""

IDENTITY_NEEDED = Refusal(
    "identity_needed",
    "here each device proves who it is: ask who runs the space for an invite, and open it: crdt-sync join LINK",
)
"""For whoever shows a shared token, or nothing, where there are identities."""


class Guest:
    """One connection, from its first request on. `headers` are for the answer; `known` is how far it knows what the
    space said, None where there are no identities.
    """

    def __init__(
        self, authorise: Authorise, headers: Sequence[tuple[str, str]] = (), known: Versions | None = None
    ) -> None:
        self._authorise = authorise
        self.headers = tuple(headers)
        self.known = known

    def authorise(self, hello: Hello) -> Principal | Refusal:
        """Who it is, or why nobody is let in."""
        return self._authorise(hello)

    def check(self) -> Refusal | None:
        """Why its session has to end, after it was let in; None where it may stay."""
        return None

    def hands_in(self, hello: Hello) -> Principal | Refusal:
        """Whether it may hand in what it had not sent before it was shut out; `hand_in_ended` is due in any case."""
        return Refusal("unsent_refused", "nothing is handed in here, but to the relay")

    def hand_in_begun(self, give_up: Callable[[], None]) -> None:
        """Updates are awaited. `give_up` ends that, should the device come again before `handed_in`."""

    async def handed_in(self, came: HandedIn) -> Refusal:
        """Keep what it handed in, durably; what it is told then."""
        raise NotImplementedError

    def hand_in_ended(self) -> None:
        """Nothing more comes of this one: if it was its turn, the next may begin."""

    def due_token(self) -> str | None:
        """A new token, where one is due."""
        return None


Introduce = Callable[[Told], Guest | None]
"""Makes a guest of who asks for a connection; None: as who asks for nothing special."""


class Identities(Protocol):
    """What the engine asks of whoever knows the space: a relay that speaks for it, or a device that is of it."""

    @property
    def statements(self) -> Statements:
        """What the space said, as far as it is known here."""

    def hear(self, statements: Sequence[bytes]) -> bool:
        """Take what a partner passes on, durably; returns whether any of it is news.

        Raises `IdentityRefused` for what nobody of the space passes on, `StoreError`.
        """


def header(told: Told, name: str) -> str | None:
    """The value of a header that may come once; None where it does not come, or comes twice."""
    values = told(name)
    return values[0] if len(values) == 1 else None


_OUT = frozenset({Reason.DEVICE_REVOKED, Reason.USER_DISABLED})


def refusal(
    error: IdentityRefused, statements: Statements, known: Versions | None, retry_after_us: int | None = None
) -> Refusal:
    """What somebody hears who is not let in. Who is out hears so as the space said it, but nothing else."""
    told: tuple[bytes, ...] = ()
    if known is not None and error.reason in _OUT:
        told = tuple(statements.lacking(known._replace(policy=INTEGER_EXACT_MAX, devices=INTEGER_EXACT_MAX)))
    return Refusal(str(error.reason), error.message, retry_after_us, told)


def stranger(_: Hello) -> Refusal:
    """Lets nobody in who does not prove who it is."""
    return IDENTITY_NEEDED
