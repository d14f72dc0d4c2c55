"""What always holds of a policy, as checks of one drawn case: tests run them, and run them on planted bugs."""

from collections.abc import Mapping

from crdt_sync.policy.cells import cells_of
from crdt_sync.policy.differences import counts, difference
from crdt_sync.policy.explaining import Asked, explain
from crdt_sync.policy.holdings import Holdings
from crdt_sync.policy.index import Index
from crdt_sync.policy.model import OPERATIONS
from crdt_sync.policy.rights import rights_of

from .drawn import COLLECTIONS, FILTERS, SECTIONS, USERS, Drawn, Values, naive_grants, naive_sight, naive_writes

Records = Mapping[str, Values]


def check_decisions(drawn: Drawn, values: Values) -> None:
    """Every decision, and that its explanation says the same."""
    for user in USERS:
        rights = rights_of(drawn.policy, user)
        for collection in COLLECTIONS:
            found = naive_grants(drawn.data, user, collection, values)
            access = rights.on(collection, values)
            assert access.held == bool(found)
            for operation in OPERATIONS:
                allowed = any(operation in grant["operations"] for grant in found)
                assert access.allows(operation) == allowed
                assert explain(rights, collection, values, Asked(operation)).allowed == allowed
                assert not allowed or operation in rights.possible(collection)
            for field, section in SECTIONS.items():
                sight, writes = naive_sight(found, field), naive_writes(found, field)
                assert access.sight(field, section) == sight
                assert access.writes(field, section) == writes
                assert explain(rights, collection, values, Asked("read", field, section)).allowed == (sight is not None)
                assert explain(rights, collection, values, Asked("write", field, section)).allowed == writes


def check_audience(both: tuple[Drawn, Drawn], move: tuple[Values | None, Values | None], leaving: str) -> None:
    """Who hears of a change: as somebody finds who asks for each subscriber, whatever the policy was before."""
    (before, after), (old, new) = both, move
    index: Index[str] = Index()
    for drawn in (before, after):
        for user in USERS:
            index.put(user, cells_of(rights_of(drawn.policy, user)))
    index.remove(leaving)
    assert leaving not in index
    here = [user for user in USERS if user != leaving]
    for collection in COLLECTIONS:
        held, holds = ({user: _found(after, user, collection, values) for user in here} for values in (old, new))
        audience = index.change(collection, old, new)
        assert audience.leavers == {user for user in here if held[user] and not holds[user]}
        assert audience.joiners == {user for user in here if holds[user] and not held[user]}
        assert audience.stayers == {user for user in here if held[user] and holds[user]}
        assert audience.altered <= audience.stayers
        otherwise = {user for user in audience.stayers if _sights(held[user]) != _sights(holds[user])}
        assert otherwise <= audience.altered
        for user in audience.altered:
            assert held[user] != holds[user]
        if new is not None:
            assert index.holders(collection, new) == audience.joiners | audience.stayers


def check_holdings(both: tuple[Drawn, Drawn], first: Records, then: Records) -> None:
    """Which records somebody may hold, and how a change of grants moves them: as a look at every record finds."""
    before, after = both
    for collection in COLLECTIONS:
        holdings = Holdings(collection, list(FILTERS))
        for records in (first, then):
            for record, values in records.items():
                holdings.put(record, values)
        for record in first.keys() - then.keys():
            holdings.remove(record)
        assert len(holdings) == len(then)
        for user in USERS:
            old, new = (
                {
                    record: found
                    for record, values in then.items()
                    if (found := _found(each, user, collection, _known(values)))
                }
                for each in (before, after)
            )
            cells = [cells_of(rights_of(each.policy, user)) for each in (before, after)]
            assert holdings.held(cells[0]) == old.keys()
            moved = holdings.moved(*cells)
            assert moved.lost == old.keys() - new.keys()
            assert moved.gained == new.keys() - old.keys()
            otherwise = {each for each in old.keys() & new.keys() if _sights(old[each]) != _sights(new[each])}
            assert otherwise <= moved.altered <= old.keys() & new.keys()


def check_difference(both: tuple[Drawn, Drawn], values: Values) -> None:
    """A difference names everybody for whom a decision differs, and nobody if the two are one."""
    before, after = both
    assert difference(before.policy, before.policy).empty
    found = difference(before.policy, after.policy)
    named = {user: {effect.collection for effect in effects} for users, effects in found.effects for user in users}
    for user in USERS:
        for collection in COLLECTIONS:
            old, new = (_found(drawn, user, collection, values) for drawn in (before, after))
            if _allowed(old) != _allowed(new):
                assert collection in named.get(user, set())
    holdings = [Holdings(collection, list(FILTERS)) for collection in COLLECTIONS]
    for each in holdings:
        each.put("one", values)
    counted = counts(before.policy, after.policy, holdings)
    for user in USERS:
        held = [
            sum(bool(_found(drawn, user, collection, _known(values))) for collection in COLLECTIONS)
            for drawn in (before, after)
        ]
        if held[0] != held[1]:
            assert (counted[user].before, counted[user].after) == tuple(held)


def _known(values: Values) -> Values:
    """All filter fields, as holdings have them."""
    return {name: values.get(name) for name in FILTERS}


def _found(drawn: Drawn, user: str, collection: str, values: Values | None) -> list[dict[str, object]]:
    return [] if values is None else naive_grants(drawn.data, user, collection, values)


def _sights(found: list[dict[str, object]]) -> list[str | None]:
    return [naive_sight(found, field) for field in SECTIONS]


def _allowed(found: list[dict[str, object]]) -> object:
    operations = {each for grant in found for each in grant["operations"]}  # type: ignore[attr-defined]
    return operations, _sights(found), [naive_writes(found, field) for field in SECTIONS]
