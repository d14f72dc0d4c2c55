"""What the gate lets in of a collection whose schema asks for signatures, where a policy is in force."""

import pytest

from crdt_sync.identity.base64url import encoded
from crdt_sync.identity.certified import verifier_for
from crdt_sync.limits import TOKENS_OF_DEVICE_MAX
from crdt_sync.policy.in_force import InForce
from crdt_sync.policy.reading import parse_policy
from crdt_sync.principal import Issuer
from crdt_sync.records import Document, Integrator
from crdt_sync.records.entries import well_formed
from crdt_sync.records.gate.permitted import FORGED, NO_TOKEN, UNSIGNED, UNTOLD, Rules, _Judge
from crdt_sync.records.lineages.renewal import renewed
from crdt_sync.records.roots import SIGNERS_ROOT
from crdt_sync.records.signatures import Standing, standing, tokens_in
from tests.records.signers import ANNA, BEN, OTHER_KEY, RECORD, SCHEMA, SPACE, SPACE_KEY, edit, signer

POLICY = """
[[role.sales.grant]]
collection = "people"
read = ["*"]
write = ["*"]
operations = ["create", "edit", "delete", "restore", "resolve"]

[[role.reader.grant]]
collection = "people"
read = ["*"]

[user.anna]
role = "sales"

[user.ben]
role = "sales"

[user.rita]
role = "reader"
"""


class Relay:
    """A record behind the gate."""

    def __init__(self, record=RECORD):
        self.record = record
        issuer = Issuer(SPACE, (SPACE_KEY.public.raw,))
        self.rules = Rules(InForce(1, parse_policy(POLICY, "a test"), issuer=issuer), "people", SCHEMA)
        self.integrator = Integrator(1)
        self.integrator.integrate(record, (), (), None, True, False)
        self.writers = iter(range(100, 200))

    def push(self, user, update):
        """The reason of a refusal; nothing where it was let in."""
        (verdict,) = self.integrator.integrate(
            self.record, None, (update,), None, True, False, rules=self.rules, users=(user,)
        ).verdicts
        assert verdict.code in ("accepted", "forbidden"), verdict
        return verdict.reason

    def copy(self):
        return Document.load((self.integrator.document(self.record).diff(),), next(self.writers))

    def edit(self, user, change, by=None, **how):
        """What comes of an edit by a device, in the session of that user."""
        document = self.copy()
        before = document.state_vector()
        edit(document, change, by or (ANNA if user == "anna" else BEN), record=self.record, **how)
        return self.push(user, document.diff(before))

    def raw(self, user, root, entry, *, removes=False):
        document = self.copy()
        before = document.state_vector()
        with document.transaction() as transaction:
            array = document.array(transaction, root)
            if removes:
                array.remove_range(transaction, 0, array.len(transaction))
            if entry is not None:
                array.insert(transaction, array.len(transaction), entry)
        return self.push(user, document.diff(before))


def name(value):
    return lambda editor: editor.update({"name": value})


@pytest.fixture
def relay():
    held = Relay()
    assert held.edit("anna", name("Ann")) == ""
    return held


def test_what_its_author_signed_is_let_in_whoever_brings_it(relay):
    assert relay.edit("anna", name("Anna")) == ""
    assert relay.edit("ben", name("Ben")) == ""
    assert relay.edit("ben", name("Ann"), by=ANNA) == ""
    assert relay.edit("anna", lambda editor: editor.append("calls", "rang")) == ""


def test_what_nobody_signed_is_refused_with_field_and_rule(relay):
    stamp = 1_790_000_000_000_005
    assert relay.raw("anna", "c.name", ["Eve", stamp, "anna"]) == f"name: {UNSIGNED}"
    assert relay.raw("anna", "l.calls", ["rang", stamp, "anna"]) == f"calls: {UNSIGNED}"
    assert relay.edit("anna", name("Eve"), by=signer("anna", 1, by=OTHER_KEY)) == ""  # its device left a token before
    fresh = signer("anna", 9, by=OTHER_KEY)
    assert relay.edit("anna", name("Eva"), by=fresh) == f"name: {UNSIGNED}"


def test_another_entry_under_a_good_signature_is_refused(relay):
    (entry,) = relay.copy().contents()["c.name"]
    assert relay.raw("anna", "c.name", ["Eve", *entry[1:]]) == f"name: {FORGED}"
    assert relay.raw("anna", "c.phone", entry) == f"phone: {FORGED}"
    assert relay.raw("ben", "c.name", [entry[0], entry[1], "ben", entry[3]]) == f"name: {FORGED}"
    other = Relay("people/2")
    assert other.edit("anna", lambda editor: editor.update({"phone": "1"})) == ""
    assert other.raw("anna", "c.name", entry) == f"name: {FORGED}"


def test_ben_signs_nothing_in_annas_name(relay):
    document = relay.copy()
    before = document.state_vector()
    edit(document, name("Eve"), BEN, actor="anna")  # an honest device signs its own user's entries alone
    assert relay.push("ben", document.diff(before)) == f"name: {UNSIGNED}"


def test_what_is_no_entry_needs_no_signature(relay):
    def change(editor):
        editor.update({"visits": 2, "tags": ["vip"], "notes": "x"})

    assert relay.edit("anna", change) == ""
    assert relay.edit("anna", lambda editor: editor.delete()) == ""
    assert relay.edit("anna", lambda editor: editor.restore()) == ""


def test_tokens_are_added_and_not_taken_away(relay):
    assert relay.raw("ben", SIGNERS_ROOT, None, removes=True) == f"_signers: {UNTOLD}"
    assert relay.raw("ben", SIGNERS_ROOT, ["x" * 3000, 0, "ben"]) == f"_signers: {UNTOLD}"
    assert relay.raw("ben", SIGNERS_ROOT, "x") == f"_signers: {UNTOLD}"


def test_what_is_here_already_is_not_asked_for_a_signature():
    relay = Relay()
    issuer, relay.rules = relay.rules, Rules(InForce(1, relay.rules.in_force.policy), "people", SCHEMA)
    assert relay.raw("anna", "c.name", ["Old", 1_790_000_000_000_000, "anna"]) == ""
    relay.rules = issuer
    assert relay.edit("ben", lambda editor: editor.update({"phone": "1"})) == ""
    fresh = renewed(relay.copy(), next(relay.writers))
    edit(fresh, lambda editor: editor.update({"phone": "2"}), ANNA)
    assert relay.push("anna", fresh.diff()) == ""


def test_a_renewed_record_brings_signed_entries_of_others(relay):
    away = relay.copy()
    edit(away, name("Ben"), BEN)
    edit(away, lambda editor: editor.append("calls", "rang"), ANNA)
    assert relay.push("anna", renewed(away).diff()) == ""
    assert relay.edit("ben", name("Anne"), by=ANNA) == ""


def test_a_token_comes_with_what_its_device_writes_and_never_alone(relay):
    """Else whoever may see a record could fill it up, and make new ones."""
    assert relay.raw("ben", SIGNERS_ROOT, [BEN.token, 0, BEN.device.hex()]) != ""
    assert Relay().raw("ben", SIGNERS_ROOT, [BEN.token, 0, BEN.device.hex()]) != ""


def test_whoever_may_import_brings_lines_that_are_not_signed_and_none_with_a_wrong_signature(monkeypatch):
    monkeypatch.setattr("tests.records.gate.test_signed.POLICY", POLICY.replace('"resolve"]', '"resolve", "import"]'))
    held = Relay()
    assert held.edit("anna", name("Ann")) == ""
    line = ["rang", 1_790_000_000_000_005, "anna"]
    assert held.raw("ben", "l.calls", line) == ""
    wrong = f"sig:{encoded(ANNA.device + bytes(64))}"
    assert held.raw("ben", "l.calls", [*line, wrong]) == f"calls: {FORGED}"


def with_tokens(relay, device, *tokens):
    """What comes of an edit by Ben with these tokens of a device beside it."""
    document = relay.copy()
    before = document.state_vector()
    edit(document, name(f"Ben {len(tokens)}"), BEN, record=relay.record)
    with document.transaction() as transaction:
        array = document.array(transaction, SIGNERS_ROOT)
        for token in tokens:
            array.insert(transaction, array.len(transaction), [token, 0, device])
    return relay.push("ben", document.diff(before))


def test_tokens_that_nobody_can_read_fill_no_record(relay):
    """Each would be tried for each signature of that device."""
    anna = ANNA.device.hex()  # has one
    junk = [f"junk {number}" for number in range(TOKENS_OF_DEVICE_MAX)]
    assert with_tokens(relay, anna, *junk) == f"_signers: {NO_TOKEN}"
    assert with_tokens(relay, anna, *junk[1:]) == ""
    assert with_tokens(relay, anna, junk[0]) == f"_signers: {NO_TOKEN}"
    fresh = signer("anna", 9)
    assert relay.edit("anna", name("Eva"), by=fresh) == ""  # another device
    assert with_tokens(relay, fresh.device.hex(), *junk[:5]) == ""
    assert relay.edit("anna", name("Ann")) == ""


def test_a_token_stands_for_the_device_that_it_names(relay):
    assert with_tokens(relay, BEN.device.hex(), signer("anna", 9).token) == f"_signers: {NO_TOKEN}"


def test_tokens_of_other_devices_are_not_tried_for_a_signature(monkeypatch):
    """However many a record holds from before."""
    verifier = verifier_for(Issuer(SPACE, (SPACE_KEY.public.raw,)))
    tried = []
    claims = verifier.claims
    monkeypatch.setattr(verifier, "claims", lambda token: tried.append(token) or claims(token))
    document = Document(7)
    edit(document, name("Ann"), ANNA)
    with document.transaction() as transaction:
        array = document.array(transaction, SIGNERS_ROOT)
        for number in range(4000):
            array.insert(transaction, 0, [f"junk {number}", 0, BEN.device.hex()])
    held = document.contents()["c.name"]
    assert isinstance(held, list)
    (entry,) = well_formed(held)
    tried.clear()
    found = standing(verifier, RECORD, "c.name", entry, tokens_in(document.contents()[SIGNERS_ROOT]))
    assert (found, len(tried)) == (Standing.VERIFIED, 1)


def test_what_is_proved_is_allowed_to_its_author_alone_whoever_brings_it(relay):
    assert relay.edit("rita", name("Anna"), by=ANNA) == ""
    assert relay.edit("rita", lambda editor: editor.update({"phone": "1"}), by=BEN) == ""
    assert relay.edit("rita", lambda editor: editor.append("calls", "rang"), by=BEN) == ""
    new = Relay("people/3")
    assert new.edit("rita", name("Anna"), by=ANNA) == ""


def test_who_may_not_write_brings_nothing_that_is_not_proved(relay):
    stamp = 1_790_000_000_000_005
    assert relay.raw("rita", "c.name", ["Eve", stamp, "anna"]) == "name: 'rita' may not write this field"
    assert relay.raw("rita", "l.calls", ["rang", stamp, "anna"]) == "calls: 'rita' may not write this field"
    assert relay.edit("rita", lambda editor: editor.update({"visits": 2}), by=ANNA) != ""
    assert relay.edit("rita", name("Eve"), by=signer("rita", 7)) == "name: 'rita' may not write this field"
    assert relay.edit("anna", name("Eve"), by=signer("rita", 7)) == "name: 'rita' may not write this field"
    assert relay.edit("rita", lambda editor: editor.delete(), by=ANNA) == "'rita' may not delete here"


def test_who_may_not_write_puts_no_older_value_back_though_it_is_proved(relay):
    (old,) = relay.copy().contents()["c.name"]
    assert relay.edit("anna", name("Anna")) == ""
    assert relay.raw("rita", "c.name", old) == "name: 'rita' may not write this field", "it would be a conflict"
    assert relay.raw("rita", "c.name", old, removes=True) == "name: 'rita' may not write this field"
    assert relay.raw("rita", "c.name", None, removes=True) == "name: 'rita' may not write this field"


def test_what_a_device_signed_that_is_out_is_not_brought_in_its_users_right(relay):
    issuer = Issuer(SPACE, (SPACE_KEY.public.raw,), frozenset({ANNA.device}))
    relay.rules = Rules(InForce(2, relay.rules.in_force.policy, issuer=issuer), "people", SCHEMA)
    assert relay.edit("rita", name("Anna"), by=ANNA) == "name: 'rita' may not write this field"
    assert relay.edit("rita", name("Ben"), by=BEN) == ""


BUGS = {
    "what nobody signed counts as proved": (
        "_is_proved_entry",
        lambda *_: True,
        test_who_may_not_write_brings_nothing_that_is_not_proved,
    ),
    "what is older counts as proved": (
        "_is_proved",
        lambda self, root, _layout, touch: all(self._is_proved_entry(root, entry) for entry in touch.values),
        test_who_may_not_write_puts_no_older_value_back_though_it_is_proved,
    ),
    "a device that is out is not asked for": (
        "_is_proved_entry",
        lambda self, root, entry: self._standing(root, entry) is Standing.VERIFIED,
        test_what_a_device_signed_that_is_out_is_not_brought_in_its_users_right,
    ),
}


@pytest.mark.parametrize("name", BUGS)
def test_a_planted_bug_is_noticed(name, relay, monkeypatch):
    where, double, honest = BUGS[name]
    monkeypatch.setattr(_Judge, where, double)
    with pytest.raises(AssertionError):
        honest(relay)
