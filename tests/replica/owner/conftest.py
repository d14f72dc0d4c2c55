"""Programs of their own over one store."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from crdt_sync import Replica
from tests.forks import Forked

US = "customers/us"
THEM = "customers/them"


class Program:
    """See `program`. `ask` waits for the answer, `begin_to` does not: `answer` does then."""

    def __init__(self, store: Path, name: str) -> None:
        self.process = Forked("tests.replica.owner.program", str(store), name)

    def ready(self) -> bool:
        """Whether it owns the store, once it is there."""
        word, owns = self.answer()
        assert word == "ready"
        return owns

    def ask(self, do: str, *arguments: object, **fields: object) -> Any:
        self.begin_to(do, *arguments, **fields)
        return self.answer()

    def begin_to(self, do: str, *arguments: object, **fields: object) -> None:
        self.process.stdin.write(json.dumps([do, arguments, fields]) + "\n")
        self.process.stdin.flush()

    def answer(self) -> Any:
        while (said := self._line()) == "tick":
            pass
        return said

    def await_ticks(self, count: int) -> None:
        """Wait until it has told of so many edits."""
        for _ in range(count):
            assert self._line() == "tick"

    def _line(self) -> object:
        line = self.process.stdout.readline()
        assert line, "the program ended"
        return json.loads(line)

    def kill(self) -> None:
        """End it without a chance to do anything more."""
        self.process.kill()
        self.process.wait(30)

    def end(self) -> None:
        self.process.stdin.close()
        self.process.wait(30)
        self.process.stdout.close()


def enter_both(owner: Program) -> None:
    """Us with one visit, and them with two tags."""
    owner.ask("edit", US, name="Us", visits=1)
    owner.ask("edit", THEM, name="Them", tags=["a", "b"])


def edit_both(replica: Replica) -> None:
    """Ten visits more, which is an operation, and a tag less, which is none."""
    with replica.edit(US) as customer:
        customer.increment("visits", 10)
    with replica.edit(THEM) as customer:
        customer.remove("tags", "a")


@pytest.fixture
def store(tmp_path: Path) -> Path:
    return tmp_path / ("a directory of which the name is longer than what a socket may have " * 2) / "store"


@pytest.fixture
def start(store: Path) -> Iterator[Callable[[str], Program]]:
    """start(name): another program over the store; the first one makes and owns it."""
    programs = []

    def one(name: str) -> Program:
        programs.append(Program(store, name))
        return programs[-1]

    yield one
    for program in programs:
        program.process.kill()
        program.end()


@pytest.fixture
def owner(start: Callable[[str], Program]) -> Program:
    """The program that owns the store."""
    program = start("owner")
    assert program.ready()
    return program
