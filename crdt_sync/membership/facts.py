"""What a device keeps of its membership, beside its key."""

from dataclasses import dataclass

from crdt_sync.errors import KeyUnusable
from crdt_sync.identity.keys import KEY_BYTES
from crdt_sync.ids import SPACE_BYTES
from crdt_sync.limits import STATEMENTS_SAID_MAX
from crdt_sync.strict_cbor import dumps, loads

_FORMAT = 2  # 1 did not keep the user


@dataclass(frozen=True, slots=True)
class Facts:
    """Of one space. `anchor` is the public key from which `statements` follow, `address` the relay of the invite.

    `pinned`: the relay's certificate is not one that an authority vouches for, but is proved by the space's key alone.
    `token` is empty until the device was let in. `confirmed` is when the space's key said last that there is nothing
    newer than `statements`, in microseconds since 1970. `wiping`: the device was told to destroy what it holds. `user`
    is whom the last token named, which stays known when the key that signed it holds no more.
    """

    space: bytes
    anchor: bytes
    address: str
    pinned: bool = False
    token: str = ""
    statements: tuple[bytes, ...] = ()
    confirmed: int = 0
    wiping: bool = False
    user: str = ""

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
                self.user,
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
            1 | 2,
            bytes(space),
            bytes(anchor),
            str(address),
            bool(pinned),
            str(token),
            tuple(statements),
            int(confirmed),
            bool(wiping),
            *rest,
        ) if len(space) == SPACE_BYTES and len(anchor) == KEY_BYTES:
            said = tuple(each for each in statements if isinstance(each, bytes))
            user = rest[0] if len(rest) == 1 and isinstance(rest[0], str) else ""
            return Facts(space, anchor, address, pinned, token, said, confirmed, wiping, user)
    raise KeyUnusable(
        "what this device keeps of its membership cannot be read",
        "Restore the file from a backup, or ask who runs the space for a new invite, and join again.",
    )
