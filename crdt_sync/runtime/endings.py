"""Why a session ended, as the error that a caller of it gets."""

from crdt_sync.errors import (
    ConnectionLost,
    ForeignSpace,
    ProtocolViolation,
    Rejected,
    RemoteError,
    Timeout,
    Unauthorized,
    VersionMismatch,
)
from crdt_sync.protocol.effects import Closed
from crdt_sync.runtime.address import Address

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
    return Rejected(f"{who} ended the session ({closed.code}): {closed.message}", "Try again later.")
