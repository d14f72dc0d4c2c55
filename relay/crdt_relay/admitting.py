"""What the policy gives to somebody who has logged in and whom it does not name: said by the space, for all to hear.

Rules:

1. The operator's text stays as it is; who has logged in, and by which values of the claim, stands at its end.
2. What is said goes by the newest id token that was shown: an older one takes nothing back. A later login by the same
   values is said where a day has gone by since, or a quarter of the days that it holds for.
3. Who logs in with nothing that the policy maps any more is refused, and has nothing. That stays said: an older token
   would bring it back.
4. Whose login is over for long, or is in the way where there is no room, is taken out when the next one is said.
5. It is told in the audit log by the number of values, not by their names.
"""

from crdt_relay.authority import Authority
from crdt_sync.audit_log.entry import Act, Entry
from crdt_sync.errors import IdentityRefused
from crdt_sync.identity.id_tokens import Vouched
from crdt_sync.identity.policy_text import PolicyText
from crdt_sync.identity.refusals import Reason, refused
from crdt_sync.limits import POLICY_USERS_MAX
from crdt_sync.policy.login_users import with_users, without_users
from crdt_sync.policy.logins import DAY_US, LoggedIn, Logins
from crdt_sync.policy.model import Policy
from crdt_sync.policy.settings import is_name


def admit(authority: Authority, vouched: Vouched) -> None:
    """See to it that the policy in force has a user who has logged in, if it gives such a user anything.

    Raises `IdentityRefused` where the user is out or has nothing, `StoreError`.
    """
    authority.statements.revocations.check_user(vouched.user)
    in_force = authority.in_force()
    policy = Policy({}, {}) if in_force is None else in_force.policy
    if policy.logins is not None and (vouched.user not in policy.users or vouched.user in policy.logins.users):
        _take_up(authority, policy, policy.logins, vouched)
    authority.check_user(vouched.user)


def _take_up(authority: Authority, policy: Policy, logins: Logins, vouched: Vouched) -> None:
    user, by = vouched.user, logins.matched(vouched.claims)
    if not is_name(user):
        raise refused(Reason.LOGIN_REFUSED, f"the id token is refused: {user!r} is written otherwise than names are")
    named = (policy.users.keys() - logins.users.keys()) | {user}
    left = logins.kept(authority.wall_clock(), POLICY_USERS_MAX - len(named))
    if by and len(named | left.keys()) > POLICY_USERS_MAX:
        raise refused(Reason.LOGIN_REFUSED, f"the policy has {POLICY_USERS_MAX:,} users, and room for no more")
    known, now = logins.users.get(user), LoggedIn(vouched.issued, by)
    if known is not None and vouched.issued < known.at:
        return
    again_us = min(DAY_US, logins.days * DAY_US // 4)
    if known is None or known.by != by or (again_us and vouched.issued >= known.at + again_us):
        users = {**left, user: now}
        if known is None and not by:
            del users[user]
        if known is not None or by:
            _say(authority, logins, users)
            about = f"login of {user!r}: {len(by)} of the values that the policy maps"
            authority.tell(Entry(authority.wall_clock(), Act.ADMINISTRATION, user, about=about))
    if not by:
        raise refused(
            Reason.LOGIN_REFUSED,
            f"the policy names no user {user!r}, and gives nothing for what the claim {logins.claim!r} of the id token "
            "holds",
        )


def _say(authority: Authority, logins: Logins, users: dict[str, LoggedIn]) -> None:
    text = authority.statements.policy
    assert text is not None, "it gives something to who logs in"
    try:
        authority.say(PolicyText(with_users(without_users(text, logins.users), users)))
    except IdentityRefused as error:
        raise refused(Reason.LOGIN_REFUSED, f"there is no room for one more user: {error.message}") from None
