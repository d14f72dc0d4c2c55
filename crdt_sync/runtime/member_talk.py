"""What is said of the space in one session that a device of it has opened."""

from collections.abc import Callable
from contextlib import suppress

from crdt_sync import limits
from crdt_sync.identity.claims import Claims
from crdt_sync.identity.known import Known
from crdt_sync.identity.refusals import Reason, refused
from crdt_sync.identity.statements import Versions
from crdt_sync.membership.member import Membership
from crdt_sync.protocol.dialer import Dialer
from crdt_sync.runtime.address import Address
from crdt_sync.runtime.greeting import LedOn
from crdt_sync.runtime.transports.channel import Open, Opened

_NOTED_US = 3600 * 1_000_000  # how often a session that lasts is noted as contact: days are counted


async def opened_by(open_channel: Open, address: Address) -> Opened:
    """A channel of `address.member`, opened as often as it takes to hear of all keys of the space. Raises as `Open`."""
    for _ in range(limits.KEYS_STATEMENTS_MAX // limits.STATEMENTS_LEADING_MAX):
        with suppress(LedOn):
            return await open_channel(address)
    return await open_channel(address)


class MemberTalk:
    """See the module. `known` is how far the partner knows what the space said, `direct` whether it is a device, and
    `claims` what the token of one says. `wall` is this device's own clock, `steady` counts microseconds from anywhere.
    """

    def __init__(
        self,
        member: Membership,
        known: Known | None,
        wall: Callable[[], int],
        steady: Callable[[], int],
        claims: Claims | None = None,
        *,
        direct: bool,
    ) -> None:
        self._member = member
        self._wall = wall
        self._steady = steady
        self._ahead_of_steady: int | None = None  # the relay's clock, once it has told what that says
        self._contact: int | None = None  # when it was noted last that the relay has let us in, by the steady clock
        self._claims = claims
        self._known = known.versions if known is not None else Versions()
        self._direct = direct
        self.let_in = not (member.secret or member.login)

    def told_time(self, offset_us: int) -> None:
        """The partner's clock is that much ahead of this device's."""
        if not self._direct:
            self._ahead_of_steady = self._wall() + offset_us - self._steady()

    def pass_on(self, dialer: Dialer) -> None:
        """Tell the partner what it lacks of what the space said, once it has welcomed us."""
        statements = self._member.statements
        if dialer.say(statements.lacking(self._known)):
            self._know(statements.versions)
        if not self._direct and self._known == statements.versions:
            self._member.confirm(self._member.now())

    def heard(self, statements: tuple[bytes, ...], dialer: Dialer) -> None:
        """Take what the partner passes on. Raises `IdentityRefused` where nobody of the space says that, where it
        orders this device to be wiped, or says that the partner is out, and `StoreError`.
        """
        self._member.hear(statements)
        self._know(self._member.statements.versions)
        if self._member.wiping:
            raise refused(Reason.DEVICE_REVOKED, "this device was revoked, and is to destroy what it holds")
        self.check_partner()
        self.pass_on(dialer)

    def check_partner(self) -> None:
        """Raises `IdentityRefused` where the device that was called is out, as far as is known by now."""
        if self._claims is not None:
            self._member.tokens.check_standing(self._claims, self._member.now())
            self._member.check_user(self._claims.user)

    def renewed(self, token: str) -> None:
        """Take the token that the relay issued. Raises `IdentityRefused` where it is none of ours, `StoreError`."""
        self._member.take_token(token)
        self.let_in = True
        self.served()

    def served(self) -> None:
        """The partner gives what only those get who were let in. Raises `StoreError`."""
        if not self._direct:
            self._contact = self._steady()
            ahead = self._ahead_of_steady
            self._member.let_in(self._wall(), None if ahead is None else self._contact + ahead)

    def lasts(self) -> None:
        """The session goes on. Raises `StoreError`."""
        if self._contact is not None and self._steady() - self._contact >= _NOTED_US:
            self.served()

    def _know(self, versions: Versions) -> None:
        self._known = Versions(*map(max, zip(self._known, versions, strict=True)))
