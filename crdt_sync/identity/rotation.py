"""How a space changes its key: a new one is introduced, both hold for a while, then the old one is retired.

`now` is microseconds since 1970. Each step returns statements to give to everybody, in this order.
"""

from collections.abc import Iterable

from crdt_sync.identity.keys import KeyPair, PublicKey
from crdt_sync.identity.space_keys import SpaceKeys
from crdt_sync.identity.statement import Statement


def begun(space: bytes, pair: KeyPair, now: int) -> bytes:
    """The first thing that a space says: its one key."""
    return Statement(space, 1, now, SpaceKeys((pair.public,))).signed_by(pair)


def introduced(before: Statement, old: KeyPair, new: KeyPair, now: int) -> list[bytes]:
    """Introduce `new` beside the keys of `before`. The old key says so, for those who know it, and then the new one,
    for those who joined with it.
    """
    keys = SpaceKeys((*_keys(before), new.public))
    return [
        Statement(before.space, before.version + more, now, keys).signed_by(pair) for more, pair in ((1, old), (2, new))
    ]


def retired(before: Statement, pair: KeyPair, gone: PublicKey, others: Iterable[Statement], now: int) -> list[bytes]:
    """Retire `gone`. `pair` is the newest key; `others` are the policy and the revocations that hold, which it signs
    anew: what the retired key had signed is worth nothing to who hears of it later.
    """
    keys = SpaceKeys(tuple(key for key in _keys(before) if key != gone))
    return [
        Statement(before.space, before.version + 1, now, keys).signed_by(pair),
        *(Statement(each.space, each.version + 1, now, each.body).signed_by(pair) for each in others),
    ]


def _keys(statement: Statement) -> tuple[PublicKey, ...]:
    if not isinstance(statement.body, SpaceKeys):
        raise TypeError(f"a statement of keys is needed, and not of {statement.body.kind}")
    return statement.body.keys
