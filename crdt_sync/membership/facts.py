"""What a device keeps of its membership, beside its key."""

from dataclasses import dataclass

from crdt_sync.errors import KeyUnusable
from crdt_sync.identity.keys import KEY_BYTES
from crdt_sync.ids import SPACE_BYTES
from crdt_sync.limits import STATEMENTS_SAID_MAX
from crdt_sync.strict_cbor import dumps, loads

_FORMAT = 1


@dataclass(frozen=True, slots=True)
class Facts:
    """Of one space. `anchor` is the public key from which `statements` follow, `address` the relay of the invite.

    `pinned`: the relay's certificate is not one that an authority vouches for, but is proved by the space's key alone.
    `token` is empty until the device was let in. `confirmed` is when the space's key said last that there is nothing
    newer than `statements`, in microseconds since 1970. `wiping`: the device was told to destroy what it holds.
    """

    space: bytes
    anchor: bytes
    address: str
    pinned: bool = False
    token: str = ""
    statements: tuple[bytes, ...] = ()
    confirmed: int = 0
    wiping: bool = False

    def packed(self) -> bytes:
        """As it is kept."""
        return dumps(
            (
                _FORMAT,
                self.space,
                self.anchor,
                self.address,
                self.pinned,
                self.token,
                self.statements,
                self.confirmed,
                self.wiping,
            )
        )


def read_facts(raw: bytes) -> Facts:
    """What was kept. Raises `KeyUnusable`."""
    try:
        kept = loads(raw, items_max=STATEMENTS_SAID_MAX + 16, depth_max=2)
    except ValueError:
        kept = None
    match kept:
        case (
            1,
            bytes(space),
            bytes(anchor),
            str(address),
            bool(pinned),
            str(token),
            tuple(statements),
            int(confirmed),
            bool(wiping),
        ) if len(space) == SPACE_BYTES and len(anchor) == KEY_BYTES:
            said = tuple(each for each in statements if isinstance(each, bytes))
            return Facts(space, anchor, address, pinned, token, said, confirmed, wiping)
    raise KeyUnusable(
        "what this device keeps of its membership cannot be read",
        "Restore the file from a backup, or ask who runs the space for a new invite, and join again.",
    )
