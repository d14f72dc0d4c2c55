"""A checkpoint is read as it was written, and whoever changes it is found out."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crdt_sync import limits
from crdt_sync.audit_log.checkpoint import Checkpoint, checkpoint, read_checkpoint
from crdt_sync.errors import InvalidCheckpoint
from crdt_sync.identity.keys import KeyPair
from tests.audit_log.logs import AT, SPACE

KEY = KeyPair(b"k" * 32)
MADE = checkpoint(SPACE, 7, b"s" * 32, AT, KEY)


@pytest.mark.parametrize("key", [KEY, None])
def test_it_is_read_as_it_was_written(key):
    made = checkpoint(SPACE, 7, b"s" * 32, AT, key)
    assert read_checkpoint(made.text) == made
    assert made.signed_by(KEY.public) is made.signed_by(None) is (key is not None)
    assert len(made.text) <= limits.AUDIT_ABOUT_LENGTH_MAX


@pytest.mark.parametrize("name", ["space", "seal", "number", "at", "signature"])
def test_one_that_was_changed_is_not_signed(name):
    value = getattr(MADE, name)
    changed = value + 1 if isinstance(value, int) else bytes([value[0] ^ 1]) + value[1:]
    assert not Checkpoint(**{**MADE._asdict(), name: changed}).signed_by(None)


@pytest.mark.parametrize(
    "text",
    [
        "", "{}", "[]", "7", "null", '"x"', "{" * 500, "x" * (limits.AUDIT_ABOUT_LENGTH_MAX + 1),
        json.dumps({**json.loads(MADE.text), "number": True}),
        json.dumps({**json.loads(MADE.text), "number": -1}),
        json.dumps({**json.loads(MADE.text), "number": 1 << 70}),
        json.dumps({**json.loads(MADE.text), "seal": "00"}),
        json.dumps({**json.loads(MADE.text), "key": ""}),
        json.dumps({**json.loads(MADE.text), "key": "00" * 32}),
        json.dumps({**json.loads(MADE.text), "signature": "no"}),
    ],
)  # fmt: skip
def test_what_is_no_checkpoint_is_refused_with_the_next_step(text):
    with pytest.raises(InvalidCheckpoint) as caught:
        read_checkpoint(text)
    assert "audit checkpoint" in caught.value.hint


@given(st.text(max_size=80))
def test_any_text_is_one_or_refused(text):
    with pytest.raises(InvalidCheckpoint):
        read_checkpoint(text)
