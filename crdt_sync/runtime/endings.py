"""Why a session ended, as the error that a caller of it gets."""

from collections.abc import Mapping
from itertools import islice

from crdt_sync.errors import (
    ConnectionLost,
    ForeignSpace,
    IdentityRefused,
    ProtocolViolation,
    Rejected,
    RemoteError,
    Timeout,
    Unauthorized,
    VersionMismatch,
)
from crdt_sync.identity.refusals import NEXT_STEPS, Reason
from crdt_sync.protocol.effects import Closed
from crdt_sync.runtime.address import Address

_NAMED_MAX = 3
_GIVEN = "pass it with --token, or --token-file, or keep it for good: crdt-sync token --token-file FILE."


def as_error(closed: Closed, address: Address) -> RemoteError:
    """The exception for a session that ended before its work was done."""
    who = address.whom if closed.by_partner else f"the session with {address.url}"
    match closed.code:
        case "unauthorized":
            ask = "Give both devices the same token" if address.direct else "Ask the relay's operator for the token"
            said = "refused the token" if address.token else "asks for a token, and none was given"
            return Unauthorized(f"{who} {said}", f"{ask}; {_GIVEN}")
        case "foreign_space":
            return ForeignSpace(address.whom)
        case "version_mismatch":
            return VersionMismatch(f"{who} speaks another protocol version: {closed.message}", "Update the older side.")
        case "timeout":
            return Timeout(f"{who}: {closed.message}", "Check the network; your edits stay safe here.")
        case "protocol_violation":
            return ProtocolViolation(f"{who}: {closed.message}", "Update both sides to the same version.")
        case "connection_lost":
            return ConnectionLost(f"{who}: {closed.message}", "Run the command again; it goes on where it stopped.")
    if closed.code in NEXT_STEPS:
        return IdentityRefused(closed.code, f"{who}: {closed.message}", NEXT_STEPS[Reason(closed.code)])
    return Rejected(f"{who} ended the session ({closed.code}): {closed.message}", "Try again later.")


def not_now(whom: str, refused: Mapping[str, str]) -> str:
    """What a partner said that does not store these records now, by the reason that it gave for each."""
    told = "; ".join(f"{record}: {why or 'it does not say why'}" for record, why in islice(refused.items(), _NAMED_MAX))
    more = "; ..." if len(refused) > _NAMED_MAX else ""
    what = "1 record" if len(refused) == 1 else f"{len(refused)} records"
    return f"{whom} does not store {what} now: {told}{more}" if refused else f"{whom} stores nothing now"
