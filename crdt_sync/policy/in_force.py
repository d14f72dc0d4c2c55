"""The policy that is in force: what a space has said last of who may see and do what.

Replaced whole by whoever hears of a newer one. Who asks for it is handed `Callable[[], InForce | None]`; None: there is
no policy, and all who share one token may do everything.
"""

from dataclasses import dataclass, field

from crdt_sync.policy.model import Policy
from crdt_sync.policy.rights import Rights, rights_of


@dataclass(frozen=True, slots=True)
class InForce:
    """A policy, and the `version` of the statement that says it. Make one for each version, and keep it."""

    version: int
    policy: Policy
    _rights: dict[str, Rights] = field(default_factory=dict, init=False, repr=False, compare=False)

    def rights(self, user: str) -> Rights:
        """What a user may: nothing where the policy names no such user."""
        known = self._rights.get(user)
        if known is None:
            known = rights_of(self.policy, user)
            if user in self.policy.users:  # what strangers call themselves is without end
                self._rights[user] = known
        return known
