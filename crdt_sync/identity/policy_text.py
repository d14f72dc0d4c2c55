"""The policy of a space as it was written: what a `policy` statement says. What it means is no affair of identity."""

from dataclasses import dataclass
from typing import ClassVar

from crdt_sync.identity.refusals import Reason, refused
from crdt_sync.limits import POLICY_BYTES_MAX


@dataclass(frozen=True, slots=True)
class PolicyText:
    """The text of the operator's file."""

    kind: ClassVar[str] = "policy"

    text: str

    def __post_init__(self) -> None:
        try:
            size = len(self.text.encode())
        except UnicodeEncodeError:
            raise refused(Reason.STATEMENT_MALFORMED, "the policy holds what is no text") from None
        if size > POLICY_BYTES_MAX:
            raise refused(Reason.STATEMENT_MALFORMED, f"the policy has {size} bytes, of at most {POLICY_BYTES_MAX}")

    def packed(self) -> object:
        """As a statement carries it."""
        return self.text

    @classmethod
    def read(cls, value: object) -> "PolicyText":
        """From a statement. Raises `IdentityRefused`."""
        if type(value) is not str:
            raise refused(Reason.STATEMENT_MALFORMED, "a policy is a text")
        return cls(value)
