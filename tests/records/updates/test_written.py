import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from crdt_sync.records import Document
from crdt_sync.records.updates.written import written
from tests.records.raw_updates import array, mapping, text, update

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53) + 1, 2**53 - 1) | st.text(max_size=6).filter(str.isprintable),
    lambda inner: st.lists(inner, max_size=4),
    max_leaves=8,
)


@given(st.lists(VALUES, min_size=1, max_size=5), st.dictionaries(st.text("ab", min_size=1), VALUES, max_size=3))
def test_values_are_those_that_the_document_holds(values, members):
    raw = update([array("c.a", values), mapping("s.b", members), text("t.c", "words")])
    found = written(raw)
    held: dict[str, Any] = Document.load([raw]).contents()
    assert found.pop((8500, 0)) == held["c.a"] == json.loads(json.dumps(values))
    assert sorted(map(str, found.values())) == sorted(str([each]) for each in held.get("s.b", {}).values())


def test_what_no_json_has_is_nothing():
    raw = update([array("c.a", [b"\x74\x02ab", {"a": 1}, 1.5, 2.0, b"\x7f"])])
    assert written(raw) == {(8500, 0): [None, None, 1.5, 2, None]}
