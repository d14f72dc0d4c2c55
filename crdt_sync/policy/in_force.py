"""The policy that is in force: what a space has said last of who may see and do what.

Replaced whole by whoever hears of a newer one. Who asks for it is handed `Callable[[], InForce | None]`; None: there is
no policy, and all who share one token may do everything. One that cannot be read here is a policy all the same: where
none was read before it, nobody may do anything.
"""

from dataclasses import dataclass, field

from crdt_sync.errors import InvalidPolicy
from crdt_sync.policy.model import Policy
from crdt_sync.policy.reading import parse_policy
from crdt_sync.policy.rights import Rights, rights_of
from crdt_sync.principal import Issuer


@dataclass(frozen=True, slots=True)
class InForce:
    """A policy, and the `version` of the statement that says it. Make one for each text, and keep it.

    Whoever keeps something that follows from it goes by which one it is, not by its version: what a stolen key had said
    gives way to what a key that holds says under the same.
    """

    version: int
    policy: Policy
    is_unread: bool = False  # its text is of a form that is not known here, so that it names nobody
    issuer: Issuer | None = None  # the space that says it, by whose keys it is told who has signed an entry
    _rights: dict[str, Rights] = field(default_factory=dict, init=False, repr=False, compare=False)

    def rights(self, user: str) -> Rights:
        """What a user may: nothing where the policy names no such user."""
        known = self._rights.get(user)
        if known is None:
            known = rights_of(self.policy, user)
            if user in self.policy.users:  # what strangers call themselves is without end
                self._rights[user] = known
        return known


class Heard:
    """The policy in force, by the text that a space said last."""

    def __init__(self) -> None:
        self._said: tuple[int, str, Issuer | None] | None = None
        self._in_force: InForce | None = None

    def of(self, version: int, text: str | None, issuer: Issuer | None = None) -> InForce | None:
        """The policy of that text; where that is of a later form, the one before holds, or else one that gives nobody
        anything. None where none was said.
        """
        if text is not None and self._said != (version, text, issuer):
            same = self._said is not None and self._said[:2] == (version, text)
            self._said = version, text, issuer
            if same and self._in_force is not None and not self._in_force.is_unread:
                self._in_force = InForce(version, self._in_force.policy, issuer=issuer)
                return self._in_force
            try:
                self._in_force = InForce(version, parse_policy(text, "the policy in force", said=True), issuer=issuer)
            except InvalidPolicy:
                if self._in_force is None or self._in_force.is_unread:
                    self._in_force = InForce(version, Policy({}, {}), is_unread=True)
        return self._in_force
