"""Joining: the table of `enrolling`, row by row, and what holds whatever order devices come in."""

from functools import partial

from hypothesis import given
from hypothesis import strategies as st

from crdt_sync.identity.enrolling import Invite, Joined, join, renew
from crdt_sync.identity.handshake import Handshake
from crdt_sync.identity.invites import Link, lookup
from crdt_sync.identity.keys import KeyPair
from crdt_sync.identity.presented import Enrolment
from crdt_sync.identity.registry import MemoryRegistry
from crdt_sync.identity.revocations import Revocations, Revoked
from crdt_sync.identity.statements import Statements
from crdt_sync.identity.tokens import Tokens, claims_for, issue
from crdt_sync.limits import INVITE_LIFE_US
from tests.identity.cast import LAPTOP, NOW, PHONE, SPACE, SPACE_KEY, keys, outcome, reason

SECRET, OTHER_SECRET = bytes(range(16)), bytes(16)
NOBODY = Revocations()
UNTIL = NOW + INVITE_LIFE_US


def kept(*invites: Invite) -> MemoryRegistry:
    memory = MemoryRegistry()
    for invite in invites or (Invite(lookup(SECRET), "anna", UNTIL),):
        memory.add(invite)
    return memory


def came(pair: KeyPair = PHONE, secret: bytes = SECRET) -> Enrolment:
    """Whose key was proved: the signature is checked before."""
    return Enrolment(secret, pair.public, bytes(64))


def out(*pairs: KeyPair) -> Revocations:
    return Revocations({pair.public.device: Revoked(NOW, True) for pair in pairs})


def test_a_device_joins_once_and_may_ask_again() -> None:
    invites = kept()
    assert join(came(), invites, NOBODY, UNTIL - 1) == Joined("anna", PHONE.public, again=False, invite=lookup(SECRET))
    for now in (UNTIL - 1, UNTIL, 2 * UNTIL):
        assert join(came(), invites, NOBODY, now) == Joined("anna", PHONE.public, again=True, invite=lookup(SECRET))
    assert invites.owner(PHONE.public.device) == "anna"


def test_another_device_does_not_join_with_the_same_invite() -> None:
    invites = kept()
    join(came(), invites, NOBODY, NOW)
    for now in (NOW, UNTIL):
        assert reason(partial(join, came(LAPTOP), invites, NOBODY, now)) == "invite_used"
    assert invites.owner(LAPTOP.public.device) is None


def test_nobody_joins_with_an_invite_that_expired_or_is_unknown() -> None:
    invites = kept()
    assert reason(lambda: join(came(), invites, NOBODY, UNTIL)) == "invite_expired"
    assert reason(lambda: join(came(secret=OTHER_SECRET), invites, NOBODY, NOW)) == "invite_unknown"
    assert invites.find(lookup(SECRET)) == Invite(lookup(SECRET), "anna", UNTIL)
    invites.withdraw(lookup(SECRET))
    assert reason(lambda: join(came(), invites, NOBODY, NOW)) == "invite_unknown"


def test_whoever_is_out_stays_out() -> None:
    invites = kept()
    assert reason(lambda: join(came(), invites, out(PHONE), NOW)) == "device_revoked"
    assert reason(lambda: join(came(), invites, Revocations(users={"anna": NOW}), NOW)) == "user_disabled"
    join(came(), invites, NOBODY, NOW)
    assert reason(lambda: join(came(), invites, out(PHONE), NOW)) == "device_revoked"
    assert reason(lambda: renew(PHONE.public, invites, out(PHONE))) == "device_revoked"
    assert reason(lambda: renew(PHONE.public, invites, Revocations(users={"anna": NOW}))) == "user_disabled"


def test_a_device_is_one_users() -> None:
    invites = kept(Invite(lookup(SECRET), "anna", UNTIL), Invite(lookup(OTHER_SECRET), "ben", UNTIL))
    join(came(), invites, NOBODY, NOW)
    assert reason(lambda: join(came(secret=OTHER_SECRET), invites, NOBODY, NOW)) == "invite_other_user"
    assert join(came(LAPTOP, OTHER_SECRET), invites, NOBODY, NOW).user == "ben"


def test_of_two_that_come_at_once_one_joins() -> None:
    """The other had found the invite unused."""

    class Overtaken(MemoryRegistry):
        def find(self, lookup: bytes) -> Invite | None:
            found = super().find(lookup)
            self.use(lookup, LAPTOP.public.device)
            return found

    invites = Overtaken()
    invites.add(Invite(lookup(SECRET), "anna", UNTIL))
    assert reason(lambda: join(came(), invites, NOBODY, NOW)) == "invite_used"

    class Withdrawn(MemoryRegistry):
        def use(self, lookup: bytes, device: bytes) -> None:
            return None

    gone = Withdrawn()
    gone.add(Invite(lookup(SECRET), "anna", UNTIL))
    assert reason(lambda: join(came(), gone, NOBODY, NOW)) == "invite_unknown"


def test_a_device_that_joined_gets_a_new_token_and_no_other_does() -> None:
    invites = kept()
    assert reason(lambda: renew(PHONE.public, invites, NOBODY)) == "device_unknown"
    join(came(), invites, NOBODY, NOW)
    assert renew(PHONE.public, invites, NOBODY) == Joined("anna", PHONE.public, again=True)
    invites.withdraw(lookup(SECRET))
    assert renew(PHONE.public, invites, NOBODY).user == "anna"
    assert reason(lambda: renew(LAPTOP.public, invites, NOBODY)) == "device_unknown"


def test_from_the_link_to_a_token_that_holds() -> None:
    """All of it, as a device and a relay would do it."""
    link = Link("wss://sync.example.com", SPACE, SPACE_KEY.public, bytes(32), SECRET)
    invites = kept(Invite(link.lookup, "安娜", UNTIL))
    handshake = Handshake(SPACE, bytes(16), bytes(range(16)), link.certificate)
    known = Statements(link.space, link.key)
    assert handshake.check_space(handshake.prove_space(SPACE_KEY), known.keys) == link.key  # before the secret is told
    shown = handshake.check_enrolment(handshake.enrol(PHONE, link.secret))
    joined = join(shown, invites, NOBODY, NOW)
    text = issue(claims_for(SPACE, joined.user, joined.key, bytes(16), NOW), SPACE_KEY)
    later = Handshake(SPACE, bytes(range(16)), bytes(16), link.certificate)
    claims = later.check_device("dialer", later.prove_device("dialer", PHONE, text), Tokens(known), NOW)
    assert (claims.user, claims.device) == ("安娜", PHONE.public.device)
    assert keys(SPACE_KEY) == known.keys


PAIRS = [KeyPair(bytes([number]) * 32) for number in range(30, 34)]
SECRETS = [bytes([number]) * 16 for number in range(3)]


@given(st.lists(st.tuples(st.sampled_from(PAIRS), st.sampled_from(SECRETS), st.integers(0, 4)), max_size=20))
def test_whatever_happens_an_invite_brings_one_device_in_and_a_device_is_one_users(events) -> None:
    users = ["anna", "ben", "anna"]
    invites = kept(*(Invite(lookup(secret), user, NOW + 3) for secret, user in zip(SECRETS, users, strict=True)))
    opened: dict[bytes, KeyPair] = {}
    owners: dict[KeyPair, str] = {}
    for pair, secret, later in events:
        user = users[SECRETS.index(secret)]
        why, joined = outcome(partial(join, came(pair, secret), invites, NOBODY, NOW + later))
        if secret in opened:
            expected = None if opened[secret] is pair else "invite_used"
        elif later >= 3:
            expected = "invite_expired"
        else:
            expected = "invite_other_user" if owners.get(pair, user) != user else None
        assert why == expected
        if joined is not None:
            assert joined == Joined(user, pair.public, again=secret in opened, invite=lookup(secret))
            opened[secret], owners[pair] = pair, user
    for pair in PAIRS:
        assert invites.owner(pair.public.device) == owners.get(pair)
