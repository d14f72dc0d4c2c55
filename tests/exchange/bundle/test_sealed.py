"""Bundles that are sealed: who can read them, what they hold, and who is believed to have made one."""

import dataclasses
import itertools
import random
import zlib
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from crdt_sync import Replica
from crdt_sync.errors import (
    BundleForbidden,
    BundleNotWritten,
    BundleSealed,
    BundleUnsealed,
    CrdtSyncError,
    ForeignBundle,
    IdentityRefused,
    InvalidBundle,
    UsageError,
)
from crdt_sync.exchange.bundle import Applied, apply, create, inspect
from crdt_sync.exchange.bundle.inside import Said
from crdt_sync.exchange.bundle.recipients import recipients
from crdt_sync.exchange.bundle.writer import Seal
from crdt_sync.identity import rotation
from crdt_sync.identity.devices import Devices
from crdt_sync.identity.keys import KeyPair
from crdt_sync.identity.policy_text import PolicyText
from crdt_sync.identity.revocations import Revocations, Revoked
from crdt_sync.identity.statement import Body, Statement
from crdt_sync.identity.tokens import claims_for, issue
from crdt_sync.limits import TOKEN_LIFE_US, TOKEN_SKEW_US
from crdt_sync.membership.facts import Facts
from crdt_sync.membership.member import Membership
from crdt_sync.records import Integrator, Schema, parse_schema
from crdt_sync.replica.allowed import rules_for
from crdt_sync.replica.owner.requests import Requests
from crdt_sync.storage.memory import MemoryStore
from crdt_sync.storage.values import Batch
from crdt_sync.verdicts import Verdict
from tests.exchange.bundle.conftest import InProcess
from tests.policies import keeps_schemas

NOW = 1_790_000_000_000_000
SPACE = bytes(range(16))
SPACE_KEY, FOREIGN_KEY = KeyPair(b"\1" * 32), KeyPair(b"\2" * 32)
USERS = {11: "anna", 12: "ben", 13: "chen", 14: "anna", 15: "dora", 16: "eve"}
KEYS = {seed: KeyPair(bytes([seed]) * 32) for seed in USERS}
LISTED = Devices({KEYS[seed].public.raw: user for seed, user in USERS.items()})
POLICY = """
[[role.sales.grant]]
collection = "shops"
where = "region in user.regions"
read = ["*"]
write = ["*"]
operations = ["create", "edit", "bundle"]
[[role.lead.grant]]
collection = "shops"
read = ["*"]
write = ["*"]
operations = ["create", "edit", "bundle"]
[[role.clerk.grant]]
collection = "shops"
read = ["*"]
write = []
operations = []
[user.anna]
role = "sales"
attributes = { regions = ["North", "Both"] }
[user.ben]
role = "sales"
attributes = { regions = ["South", "Both"] }
[user.chen]
role = "lead"
[user.dora]
role = "sales"
disabled = true
attributes = { regions = [] }
[user.eve]
role = "clerk"
"""
SCHEMA = parse_schema('collection = "shops"\nversion = 1\n[fields.name]\n[fields.region]\nfilter = true\n', "a test")


def said(body: Body, version: int = 1, pair: KeyPair = SPACE_KEY) -> bytes:
    return Statement(SPACE, version, NOW, body).signed_by(pair)


BEGUN = (rotation.begun(SPACE, SPACE_KEY, NOW), said(PolicyText(POLICY)), said(LISTED))


class Judge(InProcess):
    """The gate by the policy of the device, without a process around it."""

    def judge(
        self, updates: Sequence[tuple[str, Sequence[bytes]]], stamp_max: int | None, user: str | None = None
    ) -> Sequence[Sequence[Verdict]]:
        context, verdicts = self._replica.context, []
        in_force = context.in_force()
        assert in_force is not None
        for record, group in updates:
            stored, users = self._replica.store.load(record).updates, (user or context.author,) * len(group)
            rules = rules_for(context, record, in_force)
            done = Integrator(1).integrate(
                record, stored, group, stamp_max, checked=True, snapshot=False, rules=rules, users=users
            )
            verdicts.append(done.verdicts)
        return verdicts


_NUMBERS = itertools.count()


class Device:
    """A device of a user, in memory."""

    def __init__(
        self,
        seed: int,
        folder: Path,
        statements: Sequence[bytes] = BEGUN,
        issued: int = NOW,
        schema: Schema | None = SCHEMA,
    ) -> None:
        self.pair, self.user, self.now = KEYS[seed], USERS[seed], issued
        self._folder = folder
        token = issue(claims_for(SPACE, self.user, self.pair.public, bytes(16), issued), SPACE_KEY)
        facts = Facts(SPACE, SPACE_KEY.public.raw, "ws://relay", token=token, statements=tuple(statements))
        self.member = Membership(facts, self.pair, lambda _: None)
        store = MemoryStore(rng=random.Random(seed))
        store.commit([Batch(meta={"name": f"{self.user}-{seed}".encode()})])
        self.replica = Replica.over(store, lambda: self.now, random.Random(seed))
        if schema is not None:
            self.replica.add_schema(schema)
        self.replica.join_as(self.member)

    def new(self, name: str, region: str) -> str:
        with self.replica.edit("shops") as shop:
            shop["name"], shop["region"] = name, region
        return str(shop.record)

    def write(self, to: str) -> Path:
        path = self._folder / f"{next(_NUMBERS)}.bundle"
        self.made = create(self.replica, path, to=to)
        return path

    def read(self, path: Path) -> Applied:
        return apply(self.replica, path, Judge(self.replica))

    def shops(self) -> list[str]:
        return sorted(str(view["name"]) for view in self.replica.list("shops"))


@pytest.fixture
def device(tmp_path: Path) -> Callable[..., Device]:
    return lambda seed, **how: Device(seed, tmp_path, **how)


@pytest.fixture
def anna(device) -> Device:
    return device(11)


@pytest.fixture
def chen(device) -> Device:
    chen = device(13)
    for region in ("North", "South", "Both"):
        chen.new(f"in {region}", region)
    return chen


def refusal(call: Callable[[], object]) -> tuple[str, str]:
    """The code, and the reason, with which a call was refused."""
    with pytest.raises(CrdtSyncError) as refused:
        call()
    assert refused.value.hint
    return refused.value.code, getattr(refused.value, "reason", "")


def test_all_devices_of_a_user_can_read_what_is_sealed_to_that_user_and_nobody_else_can(device, chen, anna) -> None:
    path = chen.write("user:anna")
    assert {key.device for key in chen.made.recipients.devices} == {KEYS[seed].public.device for seed in (11, 14)}
    for reader in (anna, device(14)):
        assert (reader.read(path).received, reader.shops()) == (2, ["in Both", "in North"])
    for stranger in (device(12), chen):
        with pytest.raises(BundleSealed, match=f"sealed to user:anna, and this device, {stranger.user}'s, is none of"):
            stranger.read(path)


def test_a_bundle_holds_what_both_may_hold_and_tells_nobody_else_what_that_is(chen, anna, tmp_path) -> None:
    path = chen.write("user:anna")
    assert (chen.made.withheld, chen.made.end.updates) == (1, 3)  # and the schema
    raw = path.read_bytes()
    for secret in (b"chen", b"North", b"shops", chen.replica.id, chen.pair.public.device, b"sales", POLICY.encode()):
        assert secret not in raw
    back = anna.write("user:ben")
    anna.new("anna's", "North")
    assert anna.made.end.updates == 1  # the schema alone: nothing of hers is ben's
    assert back.exists()


SECTIONED = parse_schema(
    SCHEMA.to_toml().replace("[fields.name]", '[fields.iban]\nsection = "finance"\n\n[fields.name]'), "x"
)
FINANCE = POLICY.replace('read = ["*"]\nwrite = ["*"]', 'read = ["*", "finance"]\nwrite = ["*", "finance"]')
FINANCE += keeps_schemas("lead")


@pytest.mark.parametrize(("text", "ibans"), [(FINANCE, ["DE1", "DE2"]), (FINANCE.replace(', "finance"', "", 2), [])])
def test_a_device_that_has_nothing_yet_takes_schemas_records_and_the_sections_that_it_may_read(
    device, text, ibans
) -> None:
    """Whatever the order in which they were written."""
    spoken = (BEGUN[0], said(PolicyText(text)), said(LISTED))
    chen, anna = device(13, statements=spoken, schema=SECTIONED), device(11, statements=spoken, schema=None)
    records = [chen.new(name, "North") for name in ("a", "b")]
    for number, record in enumerate(records, 1):
        with chen.replica.edit(record) as shop:
            shop["iban"] = f"DE{number}"
    chen.replica.add_schema(dataclasses.replace(SECTIONED, label="Shops", version=2))
    found = anna.read(chen.write("user:anna"))
    assert (found.refused, found.waiting, found.left_out, chen.made.withheld) == (0, 0, (), 0)
    assert anna.shops() == ["a", "b"]
    assert sorted(shop["iban"] for shop in anna.replica.list("shops") if "iban" in shop) == ibans


def test_what_is_sealed_to_a_role_is_what_each_of_it_may_hold(device, chen) -> None:
    path = chen.write("role:sales")
    assert {LISTED.user(key.device) for key in chen.made.recipients.devices} == {"anna", "ben"}  # dora is disabled
    for seed in (11, 12):
        reader = device(seed)
        reader.read(path)
        assert reader.shops() == ["in Both"]


def test_a_device_is_named_by_the_beginning_of_its_id(device, chen, anna) -> None:
    path = chen.write(f"device:{anna.member.device.hex()[:6]}")
    assert chen.made.recipients.to == f"device:{anna.member.device.hex()}"
    anna.read(path)
    with pytest.raises(BundleSealed):
        device(14).read(path)


@pytest.mark.parametrize("to", ["anna", "user:ann", "role:boss", "device:", "device:abc", "device:00000000", ":"])
def test_who_is_nobody_is_told(chen, to) -> None:
    with pytest.raises(UsageError):
        chen.write(to)


def test_devices_that_are_out_are_left_out(device) -> None:
    out = said(Revocations({KEYS[11].public.device: Revoked(NOW, wipe=False)}))
    chen = device(13, statements=(*BEGUN, out))
    chen.write("user:anna")
    assert [key.device for key in chen.made.recipients.devices] == [KEYS[14].public.device]
    for to in (f"device:{KEYS[11].public.device.hex()}", "user:dora"):
        with pytest.raises(BundleNotWritten, match="that is not out"):
            chen.write(to)


def test_who_is_not_allowed_to_bundle_bundles_nothing(device) -> None:
    with pytest.raises(BundleForbidden):
        device(16).write("user:anna")


def test_applying_twice_does_no_harm_and_edits_of_others_are_judged_by_who_made_the_bundle(device, chen, anna) -> None:
    path = chen.write("user:anna")
    anna.read(path)
    again = anna.read(path)
    assert (again.received, again.known, again.obstacle) == (0, 3, None)
    forger = device(16)  # a clerk may read, and write nothing
    forger.replica.go_by(lambda: None, "eve")
    forger.new("eve's", "North")
    forger.replica.join_as(forger.member)
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr("crdt_sync.exchange.bundle.recipients.Rights.possible", lambda *_: {"bundle"})
        patched.setattr("crdt_sync.policy.rights.Access.allows", lambda *_: True)
        forged = forger.write("user:anna")
    done = anna.read(forged)
    assert [entry.code for entry in done.left_out] == ["forbidden"] * len(done.left_out)
    assert (done.received, done.refused >= 1, "eve's" in anna.shops()) == (0, True, False)


def test_a_maker_gives_nobody_what_that_one_may_not_hold_even_if_it_would(chen, anna, monkeypatch) -> None:
    monkeypatch.setattr("crdt_sync.exchange.bundle.recipients.Allowed.__call__", lambda *_: True)
    anna.read(chen.write("user:anna"))
    assert anna.shops() == ["in Both", "in North"]


def test_newer_words_of_the_space_come_with_a_bundle_and_older_ones_change_nothing(device, chen, anna) -> None:
    wider = POLICY.replace('["North", "Both"]', '["North", "South"]')
    out = Revocations({KEYS[14].public.device: Revoked(NOW, wipe=False)})
    told = device(13, statements=(*BEGUN[:1], said(PolicyText(wider), 2), said(LISTED), said(out)))
    for region in ("North", "South", "Both"):
        told.new(f"in {region}", region)
    anna.read(told.write("user:anna"))
    assert (anna.member.statements.versions, anna.member.statements.revocations) == ((1, 2, 1, 1), out)
    assert anna.shops() == ["in North", "in South"]
    anna.read(chen.write("user:anna"))  # which knows an older policy alone
    assert anna.member.statements.versions == (1, 2, 1, 1)
    assert anna.shops() == ["in North", "in South"]


@pytest.mark.parametrize("whose", ["device", "user"])
def test_what_was_made_by_who_is_out_is_refused(chen, anna, whose) -> None:
    path = chen.write("user:anna")
    out = (
        Revocations({chen.member.device: Revoked(NOW, wipe=False)})
        if whose == "device"
        else Revocations({}, {"chen": NOW})
    )
    anna.member.hear([said(out)])
    expected = "device_revoked" if whose == "device" else "user_disabled"
    assert refusal(lambda: anna.read(path)) == ("identity_refused", expected)
    assert anna.shops() == []


def test_a_bundle_can_tell_a_device_that_it_is_out_itself(device, anna) -> None:
    knowing = device(13, statements=BEGUN)
    knowing.new("in North", "North")
    path = knowing.write("user:anna")
    anna.member.hear([said(Revocations({anna.member.device: Revoked(NOW, wipe=False)}))])
    assert refusal(lambda: anna.read(path)) == ("identity_refused", "device_revoked")


def test_a_token_that_is_over_counts_if_this_device_would_know_that_its_device_is_out(chen, anna) -> None:
    path = chen.write("user:anna")
    anna.now = NOW + TOKEN_LIFE_US + TOKEN_SKEW_US
    assert refusal(lambda: anna.read(path)) == ("identity_refused", "token_expired")
    anna.member.confirm(anna.now)
    assert anna.read(path).received == 2


def test_who_has_no_token_that_holds_makes_none(chen) -> None:
    chen.now = NOW + TOKEN_LIFE_US + TOKEN_SKEW_US
    assert refusal(lambda: chen.write("user:anna")) == ("identity_refused", "token_expired")


@pytest.mark.parametrize("forged", ["another key", "another token", "by another space"])
def test_who_did_not_sign_is_not_believed_to_have_made_it(device, chen, anna, monkeypatch, forged) -> None:
    seal = Seal.__new__

    def wrong(cls, envelope, inside, pair):
        if forged == "another key":
            pair = KEYS[12]
        elif forged == "another token":
            inside = dataclasses.replace(inside, token=device(12).member.facts.token)
        else:
            claims = claims_for(SPACE, "chen", pair.public, bytes(16), NOW)
            inside = dataclasses.replace(inside, token=issue(claims, FOREIGN_KEY))
        return seal(cls, envelope, inside, pair)

    monkeypatch.setattr("crdt_sync.exchange.bundle.sealing.Seal", lambda *parts: wrong(Seal, *parts))
    path = chen.write("user:anna")
    code, reason = refusal(lambda: anna.read(path))
    assert (code, reason) == ("identity_refused", "token_unknown_key" if "space" in forged else "proof_invalid")
    assert anna.shops() == []


def test_whatever_is_changed_or_cut_off_is_found_before_anything_is_stored(chen, anna, tmp_path) -> None:
    raw = chen.write("user:anna").read_bytes()
    damaged = tmp_path / "damaged.bundle"
    rng = random.Random(1)
    for _ in range(150):
        data = bytearray(raw)
        data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
        damaged.write_bytes(data if rng.random() < 0.7 else raw[: rng.randrange(len(raw))])
        with pytest.raises(InvalidBundle):
            anna.read(damaged)
    assert (anna.shops(), anna.member.statements.versions) == ([], (1, 1, 0, 1))


def test_one_to_whom_it_is_sealed_cannot_change_it_in_its_makers_name(device, chen, anna, monkeypatch) -> None:
    """Anna knows the key of the bundle: what she writes with it is not signed by Chen."""
    path = chen.write("role:sales")
    honest = inspect(path, member=anna.member)
    assert (honest.header.name, honest.envelope.to) == ("chen-13", "role:sales")
    anna.new("anna's", "Both")
    monkeypatch.setattr(
        "crdt_sync.exchange.bundle.sealing.Said", lambda _, statements: Said(chen.member.facts.token, statements)
    )
    ben = device(12)
    assert refusal(lambda: ben.read(anna.write("role:sales"))) == ("identity_refused", "proof_invalid")


def test_what_is_not_sealed_is_neither_made_nor_taken_in_a_space_with_people(chen, anna, tmp_path) -> None:
    with pytest.raises(UsageError, match="is sealed to somebody"):
        create(chen.replica, tmp_path / "plain.bundle")
    assert not (tmp_path / "plain.bundle").exists()
    chen.replica.join_as(None)
    create(chen.replica, tmp_path / "plain.bundle")
    create(chen.replica, tmp_path / "locked.bundle", token="a token of the space")
    for name, how in (("plain", {"plain": True}), ("locked", {"token": "a token of the space"})):
        with pytest.raises(BundleUnsealed):
            apply(anna.replica, tmp_path / f"{name}.bundle", Judge(anna.replica), **how)
    with pytest.raises(UsageError, match="in no space with people"):
        chen.write("user:anna")


def test_a_device_of_another_space_or_of_none_is_told_for_whom_it_is(chen, anna) -> None:
    path = chen.write("user:anna")
    anna.replica.join_as(None)
    with pytest.raises(BundleSealed, match="in no space with people"):
        anna.read(path)
    other = rotation.begun(bytes(16), FOREIGN_KEY, NOW)
    facts = Facts(bytes(16), FOREIGN_KEY.public.raw, "ws://relay", statements=(other,))
    anna.replica.join_as(Membership(facts, anna.pair, lambda _: None))
    with pytest.raises(ForeignBundle):
        anna.read(path)


def test_a_bomb_in_what_the_space_said_is_refused(chen, anna, monkeypatch) -> None:
    monkeypatch.setattr(
        "crdt_sync.exchange.bundle.inside.Said.encode", lambda _: zlib.compress(bytes(64 * 1024 * 1024), 9)
    )
    with pytest.raises(InvalidBundle, match="too large"):
        anna.read(chen.write("user:anna"))


def test_only_the_space_says_what_comes_with_a_bundle(chen, anna, monkeypatch) -> None:
    forged = Statement(SPACE, 9, NOW, Revocations({}, {"anna": NOW})).signed_by(FOREIGN_KEY)
    monkeypatch.setattr(
        "crdt_sync.exchange.bundle.sealing.Said", lambda token, statements: Said(token, (*statements, forged))
    )
    path = chen.write("user:anna")
    assert anna.read(path).received == 2  # it may be of a newer key: passed over
    assert anna.member.statements.versions.revocations == 0


def test_who_is_not_listed_yet_has_no_device(device) -> None:
    early = device(13, statements=BEGUN[:2])
    in_force = early.replica.context.in_force()
    assert in_force is not None
    with pytest.raises(BundleNotWritten, match="no device of user:anna is known here") as told:
        recipients(early.member, in_force, "user:anna")
    assert "sync" in told.value.hint
    assert isinstance(told.value, CrdtSyncError)
    assert not isinstance(told.value, IdentityRefused)


def test_the_program_that_owns_the_store_hears_what_a_bundle_tells(anna) -> None:
    out = Revocations({KEYS[14].public.device: Revoked(NOW, wipe=False)})
    assert Requests(anna.replica, {}).answer(("hear", (said(out), 7))) == (True, None)
    assert anna.member.statements.revocations == out
    succeeded, _ = Requests(anna.replica, {}).answer(("hear", (b"no statement",)))
    assert not succeeded
