"""Reading a record takes work in proportion to its bytes, whoever wrote them: no shape makes it quadratic."""

import json
import sys

import pytest

from crdt_sync.limits import MEMORIES_MAX
from crdt_sync.records import Document, bundled_schema, conflicts_of, reading_of
from crdt_sync.records.memory.sources import actor_of, encode_said, mark, newest, read_sources
from tests.records.raw_updates import array, mapping, text, update

SCHEMA = bundled_schema("customers")
NOW = 1_700_000_000_000_000


def memories(count, said=lambda index: {}, name=str):
    return array("c._source", [[encode_said(said(index)), NOW + index, "m", name(index)] for index in range(count)])


def imported(root, count):
    return array(root, [[index, 0, actor_of(str(index))] for index in range(count)])


SHAPES = {
    "entries of a field beside memories": lambda n: [imported("c.phone", n), memories(n)],
    "entries that no memory explains": lambda n: [array("c.phone", [[i, 0, "@"] for i in range(n)]), memories(n)],
    "a log beside memories": lambda n: [imported("l.timeline", n), memories(n)],
    "memories of one source, of a field each": lambda n: [memories(n, lambda i: {str(i): i}, lambda i: "one")],
    "versions of a set": lambda n: [
        mapping("s.tags", {f'"{i}"\n{i}': str(i) for i in range(n)}),
        memories(n, lambda i: {"tags": [str(i)]}, lambda i: "one"),
    ],
    "versions of a log": lambda n: [
        array("l.timeline", [[str(i), 0, "@"] for i in range(n)]),
        memories(n, lambda i: {"timeline": [str(i)]}, lambda i: "one"),
    ],
    "one long version of a log and many short ones": lambda n: [
        array("l.timeline", [["x", 0, "@"]]),
        memories(n // 2 + 1, lambda i: {"timeline": [*range(20 * n)] if i == n // 2 else [-i]}, lambda i: "one"),
    ],
    "two versions each of many sources, of a log": lambda n: [
        array("l.timeline", [[str(i), 0, "@"] for i in range(10 * n)]),
        memories(n, lambda i: {"timeline": [str(i)]}, lambda i: str(i // 2)),
    ],
    "two versions each of many sources, of a set": lambda n: [
        mapping("s.tags", {f'"{i}"\n{i}': str(i) for i in range(10 * n)}),
        memories(n, lambda i: {"tags": [str(i)]}, lambda i: str(i // 2)),
    ],
    "many disputed fields and many versions": lambda n: [
        memories(n, lambda i: {f"f{j}": i for j in range(10 * n)} if i < 2 else {}, lambda i: "one")
    ],
    "versions of a log with lines that say the same": lambda n: [
        array("l.timeline", [["x", i, str(i)] for i in range(n)]),
        memories(n, lambda i: {"timeline": ["x", str(i)]}, lambda i: "one"),
    ],
    "versions of a log with a long line": lambda n: [
        array("l.timeline", [["x" * 1000 * n, 0, "@"], *([str(i), 0, "@"] for i in range(n))]),
        memories(n, lambda i: {"timeline": [mark("x" * 1000 * n), str(i)]}, lambda i: "one"),
    ],
    "members beside what their source says": lambda n: [
        mapping("s.tags", {f"{i}\n{i}\n{actor_of('one')}\nimport": i for i in range(n)}),
        memories(1, lambda i: {"tags": list(range(n, 2 * n))}, lambda i: "one"),
    ],
    "texts of many fields, of many sources": lambda n: [
        text("t.notes", "x" * n),
        memories(n, lambda i: {f"f{i}": {"text": "x"}}),
    ],
    "counters of many fields, of many sources": lambda n: [memories(n, lambda i: {f"f{i}": {"+": i}})],
    "deletions": lambda n: [array("c._deleted", [["AA", NOW, str(i)] for i in range(n)])],
}


def work(document, schema):
    """Calls that reading makes, of Python and of C, and the thousands of characters that they return."""
    calls = 0

    def count(frame, event, argument):
        nonlocal calls
        calls += event in ("call", "c_call")
        if event == "return" and isinstance(argument, str):
            calls += len(argument) // 1000

    sys.setprofile(count)
    try:
        reading_of(document, schema, all_kinds=True)
    finally:
        sys.setprofile(None)
    return calls


@pytest.mark.parametrize("schema", [None, SCHEMA], ids=["unknown", "customers"])
@pytest.mark.parametrize("shape", SHAPES)
def test_reading_twice_as_much_takes_twice_the_work(shape, schema):
    few, many = (Document.load((update(SHAPES[shape](n)),)) for n in (120, 240))  # memories within their limit
    assert work(many, schema) <= 2.3 * work(few, schema)


def test_versions_show_a_line_once_that_many_wrote_and_their_source_said_once():
    lines = [["x", index, str(index)] for index in range(1, 4)]
    said = [["x", "old"], ["x", "new"]]
    raw = [array("l.timeline", [*lines, ["old", 0, "@"], ["new", 0, "@"]])]
    raw.append(memories(2, lambda index: {"timeline": said[index]}, lambda index: "one"))
    (conflict,) = conflicts_of(Document.load((update(raw),)), SCHEMA)
    assert [entry.value for entry in conflict.entries] == [["x", "new"], ["x", "old"]]


def test_what_sources_said_last_is_put_together_in_one_dict():
    said = [[json.dumps({str(index): 1}), NOW + index, "m", "one"] for index in range(MEMORIES_MAX)]
    (memory,) = newest(read_sources(said)).values()
    assert len(memory.said) == MEMORIES_MAX


@pytest.mark.parametrize(("count", "read"), [(MEMORIES_MAX, MEMORIES_MAX), (MEMORIES_MAX + 1, MEMORIES_MAX)])
def test_the_newest_memories_are_read_up_to_a_limit_in_whatever_order_they_stand(count, read):
    entries = [["{}", NOW + index, "m", str(index)] for index in range(count)]
    names = [str(index) for index in range(count)][::-1][:read]
    assert [source.name for source in read_sources(entries)] == names
    assert [source.name for source in read_sources(entries[::-1])] == names


@pytest.mark.parametrize("number", ["1e999", "-1e999", "[1e999]", '{"+": 1e999}', "NaN", "1" * 5000])
def test_a_memory_with_a_number_that_cannot_be_written_again_is_none(number):
    assert read_sources([[f'{{"visits":{number}}}', NOW, "m", "one"]]) == []


@pytest.mark.parametrize("number", ["1e308", "-0.5", "9" * 300])
def test_a_memory_with_any_other_number_is_one(number):
    (memory,) = read_sources([[f'{{"visits":{number}}}', NOW, "m", "one"]])
    assert json.loads(encode_said(memory.said)) == {"visits": json.loads(number)}
