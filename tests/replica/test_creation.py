"""Creating a replica: complete, or as good as never begun."""

import contextlib
from pathlib import Path
from typing import Any

import pytest

from crdt_sync import Replica, bundled_schema
from crdt_sync.errors import StoreExists, StoreFailed
from crdt_sync.storage import LmdbStore
from crdt_sync.storage.lmdb import environment


class Interrupted(BaseException):
    pass


@pytest.mark.parametrize("number", range(4))
def test_a_creation_that_is_interrupted_at_any_commit_can_be_repeated(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    commits = iter(range(100))

    def cut(transaction: Any) -> None:
        if next(commits) == number:
            raise Interrupted
        transaction.commit()

    with monkeypatch.context() as patch:
        patch.setattr(environment, "commit", cut)
        with contextlib.suppress(Interrupted):
            Replica.create(tmp_path / "anna", "anna", [bundled_schema("customers")]).close()
        assert next(commits) >= number
    if number < 3:
        with Replica.create(tmp_path / "anna", "bob", [bundled_schema("customers")]) as replica:
            assert replica.name == "bob"
    with pytest.raises(StoreExists):
        Replica.create(tmp_path / "anna", "carl")
    with Replica.open(tmp_path / "anna") as replica:
        assert replica.name == ("bob" if number < 3 else "anna")
        assert list(replica.schemas) == ["customers"]


def test_a_replica_that_could_not_be_read_when_it_was_opened_holds_nothing_open(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    Replica.create(tmp_path / "anna", "anna").close()

    def failing(store: LmdbStore, key: str) -> bytes | None:
        raise StoreFailed("planted")

    with monkeypatch.context() as patch:
        patch.setattr(LmdbStore, "meta", failing)
        for attempt in (Replica.open, lambda path: Replica.create(path, "bob")):
            with pytest.raises(StoreFailed, match="planted"):
                attempt(tmp_path / "anna")
    Replica.open(tmp_path / "anna").close()
