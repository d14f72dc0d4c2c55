"""Histories through Yjs and through ours give the same documents."""

import shutil

import pytest

from crdt_bench.campaign import differential
from crdt_sync.records import Document

_REASON = differential.missing()


@pytest.mark.skipif(bool(_REASON), reason=_REASON or "Yjs is there")
def test_histories_made_by_either_side_are_the_same_documents_to_the_other():
    tally = differential.run(1, 100)
    assert tally.findings == []
    assert tally.outcomes == {"made by ours": 100, "made by Yjs's": 100}


@pytest.mark.skipif(bool(_REASON), reason=_REASON or "Yjs is there")
def test_an_update_that_is_left_out_is_noticed(monkeypatch):
    load = Document.load
    monkeypatch.setattr(Document, "load", lambda updates, writer=None: load(list(updates)[1:], writer))
    assert differential.run(1, 2).findings


def test_what_is_missing_is_told_with_the_command_that_helps(monkeypatch, tmp_path):
    monkeypatch.setenv("CRDT_SYNC_YJS", str(tmp_path))
    monkeypatch.setattr(shutil, "which", lambda _: "node")
    skipped = differential.run(0, 1).skipped
    assert f"npm install --prefix {tmp_path} yjs@{differential.YJS}" in skipped
    monkeypatch.setattr(shutil, "which", lambda _: None)
    assert differential.run(0, 1).skipped == "node is not installed"
