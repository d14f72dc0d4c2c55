"""The space, as the relay speaks for it: it signs what the space says, and issues tokens.

Rules:

1. What is said is on disk before anybody hears of it.
2. What devices bring is believed, since the space signed it: after a backup was put back, they know more.
3. Whoever is asked whether somebody is out looks at the revocations and at the policy: who is in no policy is out.
"""

import secrets
from collections.abc import Callable, Sequence

import structlog

from crdt_relay.login import Login
from crdt_relay.review import Review
from crdt_sync.audit_log.entry import Entry
from crdt_sync.errors import IdentityRefused, KeyUnusable
from crdt_sync.identity import rotation
from crdt_sync.identity.claims import ID_BYTES
from crdt_sync.identity.keys import KeyPair, PublicKey
from crdt_sync.identity.policy_text import PolicyText
from crdt_sync.identity.registry import Kept, Registry
from crdt_sync.identity.space_keys import SpaceKeys
from crdt_sync.identity.statement import Body, Statement, sealed
from crdt_sync.identity.statements import Statements
from crdt_sync.identity.tokens import Tokens, claims_for, issue
from crdt_sync.membership.member import check_user
from crdt_sync.policy.in_force import Heard, InForce

_log = structlog.get_logger("relay")


class Authority:
    """See the module. `pair` is the space's newest key, `wall_clock` gives microseconds since 1970; `changed` is called
    when the space has said something new, or devices have brought it, and `tell` with what the audit log is to tell.
    """

    def __init__(self, registry: Registry, space: bytes, pair: KeyPair, wall_clock: Callable[[], int]) -> None:
        """Raises `IdentityRefused` where what was said does not hold, `KeyUnusable` for another key than the newest."""
        said = registry.said()
        assert said is not None, "a space that said nothing has no authority"
        self.registry = registry
        self.space = space
        self.pair = pair
        self.review: Review | None = None  # what devices that are out had not sent
        self.login: Login | None = None  # who else vouches for users
        self.wall_clock = wall_clock
        self.changed: Callable[[], None] = lambda: None
        self.tell: Callable[[Entry], None] = lambda _: None
        self.seen: dict[bytes, int] = {}  # when devices were last here, since the relay was started
        self.statements = Statements(space, PublicKey(said.anchor), said.statements)
        if self.statements.keys.newest != pair.public:
            raise KeyUnusable(
                f"the key of the space is {pair.public.kid.hex()}, and its newest one is "
                f"{self.statements.keys.newest.kid.hex()}",
                "Give the newest one with --key-file, or restore it from a backup.",
            )
        self.tokens = Tokens(self.statements)
        self._policy = Heard()

    @classmethod
    def begin(cls, registry: Registry, space: bytes, pair: KeyPair, wall_clock: Callable[[], int]) -> "Authority":
        """A space that says its first word: its one key."""
        registry.keep(Kept(pair.public.raw, (rotation.begun(space, pair, wall_clock()),)))
        return cls(registry, space, pair, wall_clock)

    def in_force(self) -> InForce | None:
        """The policy in force; None where none was said yet."""
        said = self.statements
        return self._policy.of(said.versions.policy, said.policy, said.issuer)

    def check_user(self, user: str) -> None:
        """Raises `IdentityRefused` where a user is out."""
        check_user(self.statements, self.in_force(), user, self.wall_clock())

    def token_for(self, user: str, key: PublicKey) -> str:
        """A new token."""
        claims = claims_for(self.space, user, key, secrets.token_bytes(ID_BYTES), self.wall_clock())
        return issue(claims, self.pair)

    # --- what the space says ---------------------------------------------------------------------------------

    def say(self, *bodies: Body) -> None:
        """Say something new: of each kind, the next version. Raises `StoreError`, `IdentityRefused` for too much."""
        versions, now = self.statements.versions, self.wall_clock()
        statements = [Statement(self.space, getattr(versions, body.kind) + 1, now, body) for body in bodies]
        self._say([statement.signed_by(self.pair) for statement in statements])

    def list_device(self, key: PublicKey, user: str) -> None:
        """See to it that a device which has proved its key is among those that the space lists, so that others can seal
        to it and find it. Raises `StoreError`.
        """
        listed = self.statements.devices
        if listed.user(key.device) == user:
            return
        try:
            self.say(listed.joined(key, user))
        except IdentityRefused as error:  # the list is full: the device is let in, and bundles are not sealed to it
            _log.warning("device_not_listed", device=key.device.hex(), error=error.message)

    def introduce(self, pair: KeyPair) -> None:
        """Introduce a new key, which signs from now on; the others hold until they are retired."""
        self._say(rotation.introduced(self._keys(), self.pair, pair, self.wall_clock()))
        self.pair = pair

    def retire(self, gone: PublicKey) -> None:
        """Retire a key, and say anew what holds."""
        now, versions = self.wall_clock(), self.statements.versions
        bodies = [body for body in self._bodies() if body is not None]
        others = [Statement(self.space, getattr(versions, body.kind), now, body) for body in bodies]
        self._say(rotation.retired(self._keys(), self.pair, gone, others, now))

    def hear(self, statements: Sequence[bytes]) -> bool:
        """See `Identities`."""
        news, hostile = self.statements.take_all(statements)
        if news:
            self._keep(self.statements)
        if hostile is not None:
            raise hostile
        return news

    def _keys(self) -> Statement:
        """The statement of keys in force."""
        return next(
            sealed(raw, self.space).opened(key)
            for raw in reversed(self.statements.kept())
            for key in self.statements.keys.keys
            if (came := sealed(raw, self.space)).kind == SpaceKeys.kind and came.kid == key.kid
        )

    def _bodies(self) -> Sequence[Body | None]:
        text = self.statements.policy
        revocations = self.statements.revocations if self.statements.versions.revocations else None
        devices = self.statements.devices if self.statements.versions.devices else None
        return (PolicyText(text) if text is not None else None, revocations, devices)

    def _say(self, raws: Sequence[bytes]) -> None:
        trial = Statements(self.space, self.statements.anchor, self.statements.kept())
        for raw in raws:
            trial.take(raw)
        self._keep(trial)
        for raw in raws:
            self.statements.take(raw)
        self.changed()

    def _keep(self, statements: Statements) -> None:
        self.registry.keep(Kept(statements.anchor.raw, tuple(statements.kept())))
