"""Whatever bytes arrive, each reader gives its one error, sessions end or go on, and honest partners notice nothing."""

import os
import signal

import pytest

from crdt_bench.campaign import hostile, hostile_inputs
from crdt_bench.campaign.confined import confined, each_confined
from crdt_bench.campaign.hostile_bundles import attack_bundle
from crdt_bench.campaign.hostile_inputs import TARGETS, Target
from crdt_bench.campaign.mutation import corpus
from crdt_bench.campaign.tally import Tally
from crdt_bench.minimal.host import MinimalHost
from crdt_relay import settings
from crdt_sync.errors import InvalidSchema, InvalidSettings
from crdt_sync.exchange.bundle.reader import BundleReader
from crdt_sync.protocol import codec
from crdt_sync.protocol.messages import Changes, Hello, Want, WantEntry
from crdt_sync.records import parse_schema
from crdt_sync.storage import Batch, Change, MemoryStore
from crdt_sync.storage.lmdb.codec import Seal

NOW = 1_700_000_000_000_000


def test_ten_thousand_hostile_inputs_break_nothing():
    tally = hostile.run(0, 10_000)
    assert tally.findings == []
    assert tally.ran >= 10_000
    assert set(tally.outcomes) == {target.name for target in TARGETS}


def test_a_reader_that_raises_or_dies_is_noticed_with_its_seed():
    def attack(seed):
        if seed == 7:
            os.abort()
        if seed == 9:
            raise KeyError("x")
        return 1

    tally = Tally("hostile bytes", "inputs", 0)
    hostile._batch(Target("planted", attack), range(20), tally)
    assert tally.findings == ["planted, seed 7: killed by SIGABRT", "planted, seed 9: raised KeyError: 'x'"]
    assert tally.ran == 20


def test_work_that_hangs_is_ended():
    assert confined(lambda: str(signal.pause()), 1) == "killed by SIGALRM"


def test_a_seal_that_is_not_checked_is_noticed(monkeypatch):
    monkeypatch.setattr(Seal, "open", lambda seal, key, value, record=None: value[16:])
    tally = Tally("hostile bytes", "inputs", 0)
    hostile._batch(Target("stored value", hostile_inputs._stored_value), range(40), tally)
    assert tally.findings


def test_a_locked_bundle_that_leaves_a_trace_is_noticed(monkeypatch):
    monkeypatch.setattr(BundleReader, "check_open", lambda reader: None)
    tally = Tally("hostile bytes", "inputs", 0)
    hostile._batch(Target("bundle", attack_bundle), range(40), tally)
    assert tally.findings


def test_a_state_vector_that_is_none_ends_the_session_that_sent_it():
    store = MemoryStore(b"r" * 16)
    update = corpus("updates")[0]
    change = Change("customers/a", (update,), b"d" * 16, "", 1, b"\x00")
    store.commit([Batch(changes=(change,))])
    relay = MinimalHost(store, lambda: NOW)
    session = relay.connect()
    relay.receive(session, codec.encode(Hello((1,), b"d" * 16, "", NOW, None, True, 0, "test")))
    relay.fill(session)
    page = codec.decode(relay.frames[session][-1])
    assert isinstance(page, Changes)
    relay.receive(session, codec.encode(Want(page.page, (WantEntry("customers/a", b"\x01\x05"),))))
    relay.fill(session)
    assert session in relay.hung_up
    assert codec.decode(relay.frames[session][-1]).code == "protocol_violation"


def test_files_that_are_nested_too_deeply_are_refused_with_a_reason(tmp_path):
    nested = "x = " + "[" * 5000
    with pytest.raises(InvalidSchema, match="too deeply"):
        parse_schema(nested, "file")
    (tmp_path / "relay.toml").write_text(nested, encoding="utf-8")
    with pytest.raises(InvalidSettings, match="too deeply"):
        settings.load({}, tmp_path / "relay.toml")


def test_each_work_has_its_answer_though_others_die_or_raise():
    works = [
        lambda: "one",
        os.abort,
        lambda: str(dict[int, str]()[1]),
        lambda: "a\0b",
        lambda: os._exit(3),
        lambda: "last",
    ]
    assert each_confined(works, 1) == [
        "one",
        "killed by SIGABRT",
        "raised KeyError: 1",
        "a?b",
        "ended with 3 and no answer",
        "last",
    ]
    assert each_confined([]) == []
