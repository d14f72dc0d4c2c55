"""Why somebody is not who they say, or a space has not said it: every reason, with the next step for who meets it.

A reason never tells more than whoever is refused knows already: whether an invite exists is told only to who has its
secret.
"""

from enum import StrEnum

from crdt_sync.errors import IdentityRefused


class Reason(StrEnum):
    """The stable codes, as a `bye` carries them."""

    KEY_MALFORMED = "key_malformed"
    STATEMENT_MALFORMED = "statement_malformed"
    STATEMENT_FOREIGN_SPACE = "statement_foreign_space"
    STATEMENT_UNKNOWN_KEY = "statement_unknown_key"
    STATEMENT_FORGED = "statement_forged"
    STATEMENT_CONTRADICTED = "statement_contradicted"
    TOKEN_MALFORMED = "token_malformed"
    TOKEN_FOREIGN_SPACE = "token_foreign_space"
    TOKEN_UNKNOWN_KEY = "token_unknown_key"
    TOKEN_FORGED = "token_forged"
    TOKEN_NOT_YET_VALID = "token_not_yet_valid"
    TOKEN_EXPIRED = "token_expired"
    DEVICE_REVOKED = "device_revoked"
    USER_DISABLED = "user_disabled"
    POLICY_UNREAD = "policy_unread"
    PROOF_MALFORMED = "proof_malformed"
    PROOF_INVALID = "proof_invalid"
    INVITE_UNKNOWN = "invite_unknown"
    INVITE_EXPIRED = "invite_expired"
    INVITE_USED = "invite_used"
    INVITE_OTHER_USER = "invite_other_user"
    DEVICE_UNKNOWN = "device_unknown"
    LOGIN_REFUSED = "login_refused"
    LOGIN_NEEDED = "login_needed"
    IDENTITY_NEEDED = "identity_needed"


_ASK = "Ask who runs the space for a new invite, and open it with 'crdt-sync join'."
_NEWER = "Sync with the relay, which knows the newest keys of the space."
_ADMINISTRATOR = "Ask who runs the space."
NEXT_STEPS = {
    Reason.KEY_MALFORMED: "Check the file or the text that the key came from.",
    Reason.STATEMENT_MALFORMED: "Nothing was taken over. Sync with the relay: the other side is damaged, or hostile.",
    Reason.STATEMENT_FOREIGN_SPACE: "Nothing was taken over. Check the address: it is a device or relay of others.",
    Reason.STATEMENT_UNKNOWN_KEY: "Nothing was taken over. " + _NEWER,
    Reason.STATEMENT_FORGED: "Nothing was taken over. Tell who runs the space: somebody made up what it says.",
    Reason.STATEMENT_CONTRADICTED: "The first holds. Tell who runs the space: its key signed two of one version, as "
    "after a backup was put back, or it is in other hands.",
    Reason.TOKEN_MALFORMED: _ASK,
    Reason.TOKEN_FOREIGN_SPACE: "Check the address, and --store: this device belongs to another space.",
    Reason.TOKEN_UNKNOWN_KEY: "Sync with the relay: it renews the token by this device's key. Between devices, the one "
    "that refuses may lack the newest keys of the space: sync that one with the relay.",
    Reason.TOKEN_FORGED: _ASK,
    Reason.TOKEN_NOT_YET_VALID: "Set the clock of this device, and that of the other one.",
    Reason.TOKEN_EXPIRED: "Sync with the relay: it renews the token by this device's key.",
    Reason.DEVICE_REVOKED: _ADMINISTRATOR + " What was not sent is kept on this device, which is out for good: "
    "its user joins with a new invite and a store of its own (--store).",
    Reason.USER_DISABLED: _ADMINISTRATOR,
    Reason.POLICY_UNREAD: "Update crdt-sync where the policy cannot be read: there nobody may do anything until then.",
    Reason.PROOF_MALFORMED: "Check the address: nobody there speaks for this device's space, or not any "
    "more. If it is right, the other side needs a release of crdt-sync that proves keys; a shared token is none.",
    Reason.PROOF_INVALID: "Try again. If it stays so, somebody stands between the two, or this device's key and token "
    "are not of one device: then join again with a new invite.",
    Reason.INVITE_UNKNOWN: _ASK,
    Reason.INVITE_EXPIRED: _ASK,
    Reason.INVITE_USED: "Each device needs an invite of its own. If nobody of yours opened it, tell who runs the space "
    "at once: then a stranger did.",
    Reason.INVITE_OTHER_USER: "Join with a store of its own: --store, or another account of this machine.",
    Reason.DEVICE_UNKNOWN: _ASK,
    Reason.LOGIN_REFUSED: "Log in again: 'crdt-sync join LINK --login URL', or with --id-token FILE. If that is "
    "refused likewise, ask who runs the space to check the settings that begin with oidc.",
    Reason.LOGIN_NEEDED: "Log in again: 'crdt-sync join LINK', with the link that this device joined by. What was not "
    "sent is kept.",
    Reason.IDENTITY_NEEDED: "A shared token opens nothing here. If this release knows no 'crdt-sync join', update it.",
}


def refused(reason: Reason, message: str) -> IdentityRefused:
    """The error to raise."""
    return IdentityRefused(reason, message, NEXT_STEPS[reason])
