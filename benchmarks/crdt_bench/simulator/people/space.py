"""What an operator has: the key of a space, its policy, and who is out."""

import random
from collections.abc import Callable, Sequence

from crdt_bench.grants.policies import USERS, draw_policy, with_masks
from crdt_relay.authority import Authority
from crdt_sync.identity.keys import KEY_BYTES, KeyPair
from crdt_sync.identity.policy_text import PolicyText
from crdt_sync.identity.registry import MemoryRegistry
from crdt_sync.identity.revocations import Revocations, Revoked
from crdt_sync.identity.statements import Statements
from crdt_sync.ids import SPACE_BYTES
from crdt_sync.membership.facts import Facts

_WRITES = ('["*"]', '["*"]', '["name", "stage"]', '["region", "owner"]', '["stage"]')


class Space:
    """See the module. `wall_clock` gives microseconds since 1970. With `masks` policies show a field in part."""

    def __init__(self, rng: random.Random, wall_clock: Callable[[], int], *, masks: bool = False) -> None:
        self._rng = rng
        self._masks = masks
        self._wall_clock = wall_clock
        pair = KeyPair(rng.randbytes(KEY_BYTES))
        self.authority = Authority.begin(MemoryRegistry(), rng.randbytes(SPACE_BYTES), pair, wall_clock)
        self.change()

    def change(self) -> None:
        """Another policy is in force."""
        text = draw_policy(self._rng, _WRITES)
        self.authority.say(PolicyText(with_masks(self._rng, text) if self._masks else text))

    def revoke(self, device: bytes) -> None:
        """That device is out."""
        revocations = self.authority.statements.revocations
        devices = {**revocations.devices, device: Revoked(self._wall_clock(), wipe=False)}
        self.authority.say(Revocations(devices, revocations.users))

    def joined(self, number: int, address: str) -> tuple[KeyPair, Facts]:
        """The key and the facts of a new device, the first of which is that of whom may do everything."""
        user = USERS[-1] if number == 0 else USERS[number % len(USERS) - 1]
        pair, authority = KeyPair(self._rng.randbytes(KEY_BYTES)), self.authority
        token = authority.token_for(user, pair.public)
        return pair, Facts(
            authority.space,
            authority.statements.anchor.raw,
            address,
            token=token,
            statements=tuple(authority.statements.kept()),
        )


def is_out(statements: Statements, device: bytes) -> bool:
    """Whether a device is out, as far as these tell."""
    return device in statements.revocations.devices


def users() -> Sequence[str]:
    """Those of whom policies speak."""
    return USERS
