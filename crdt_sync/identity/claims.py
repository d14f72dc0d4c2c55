"""What a token says: which user, with which device, of which space, and for how long."""

from dataclasses import dataclass

from crdt_sync.identity.keys import PublicKey
from crdt_sync.identity.refusals import Reason, refused
from crdt_sync.identity.users import is_user
from crdt_sync.limits import INTEGER_EXACT_MAX, TOKEN_SKEW_US

ID_BYTES = 16


@dataclass(frozen=True, slots=True)
class Claims:
    """Of one token. Times are microseconds since 1970; tokens carry whole seconds."""

    space: bytes
    user: str
    key: PublicKey
    id: bytes
    issued: int
    expires: int

    def __post_init__(self) -> None:
        if not is_user(self.user):
            raise refused(Reason.TOKEN_MALFORMED, "the token names no user")
        if not 0 <= self.issued <= self.expires <= INTEGER_EXACT_MAX:
            raise refused(Reason.TOKEN_MALFORMED, "the times of the token make no sense")

    @property
    def device(self) -> bytes:
        """The id of the device."""
        return self.key.device

    @property
    def renewal_due(self) -> int:
        """From when on the device asks for a new one: after half of its time."""
        return (self.issued + self.expires) // 2

    def check_times(self, now: int, *, expired_too: bool = False) -> None:
        """Raises `IdentityRefused` where the token holds no more, or not yet. Clocks may differ by some minutes."""
        if now + TOKEN_SKEW_US < self.issued:
            ahead = (self.issued - now) // 60_000_000
            raise refused(Reason.TOKEN_NOT_YET_VALID, f"the token was issued {ahead} minutes after now, by this clock")
        if not expired_too and now >= self.expires + TOKEN_SKEW_US:
            days = (now - self.expires) // (24 * 3600 * 1_000_000)
            raise refused(Reason.TOKEN_EXPIRED, f"the token expired {days} days ago")
