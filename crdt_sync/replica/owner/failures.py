"""Errors as they travel between programs: what was raised by the owner is raised by the program that asked."""

from collections.abc import Iterator

from crdt_sync.errors import CrdtSyncError
from crdt_sync.replica.owner.message import BadFrame, Message

_PLAIN = (str, int, bool, type(None))


def packed(error: CrdtSyncError) -> Message:
    """Code, message, hint, and what else the error tells, as pairs."""
    more = {name: value for name, value in vars(error).items() if name not in {"message", "hint"}}
    pairs = tuple((name, value) for name, value in more.items() if isinstance(value, _PLAIN))
    return (error.code, error.message, error.hint, pairs)


def value_of(answer: object) -> object:
    """What an answer of the owner brings. Raises the error that it brings instead, and `BadFrame`."""
    match answer:
        case (True, value):
            return value
        case (False, tuple(failure)):
            raise unpacked(failure)
    raise BadFrame("an answer was not understood")


def unpacked(message: Message) -> CrdtSyncError:
    """The error again. Raises `BadFrame`."""
    match message:
        case (str(code), str(text), str(hint), tuple(pairs)):
            pass
        case _:
            raise BadFrame("an error was not understood")
    found = next((each for each in _classes(CrdtSyncError) if each.code == code), CrdtSyncError)
    error = found.__new__(found)
    CrdtSyncError.__init__(error, text, hint)
    for pair in pairs:
        match pair:
            case (str(name), value) if name.isidentifier() and not hasattr(found, name):
                setattr(error, name, value)
    return error


def _classes(root: type[CrdtSyncError]) -> Iterator[type[CrdtSyncError]]:
    yield root
    for each in root.__subclasses__():
        yield from _classes(each)
