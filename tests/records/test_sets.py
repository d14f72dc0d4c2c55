"""Sets: whoever removes a member removes the adds that were seen, and no other."""

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crdt_sync.clock import HybridClock
from crdt_sync.records import Document, Editor, Schema, bundled_schema, values_of

SCHEMA = bundled_schema("customers")


def edit(document: Document, actor: str) -> Editor:
    ticks = iter(range(1, 1_000_000))
    return Editor(document, SCHEMA, HybridClock(lambda: next(ticks)), actor, "customers")


def tags(document: Document, schema: Schema | None = None) -> Sequence[object]:
    shown = values_of(document, schema)["tags"]
    assert isinstance(shown, list)
    return shown


@pytest.mark.parametrize("writers", [(10, 20), (20, 10)])
def test_a_removal_leaves_an_add_that_it_never_saw_whoever_has_the_higher_writer_id(writers) -> None:
    ann, bob = (Document.load((), writer) for writer in writers)
    edit(ann, "ann").add("tags", "vip")
    editor = edit(bob, "bob")
    editor.add("tags", "vip")
    editor.remove("tags", "vip")
    ann_update, bob_update = ann.diff(), bob.diff()
    ann.apply(bob_update)
    bob.apply(ann_update)
    assert values_of(ann, SCHEMA) == values_of(bob, SCHEMA) == {"tags": ["vip"]}


@given(
    st.lists(
        st.tuples(
            st.integers(0, 2),
            st.sampled_from(["add", "remove", "hear"]),
            st.sampled_from(["x", "y"]),
            st.integers(0, 2),
        ),
        max_size=30,
    ),
    st.permutations([3, 70, 5000]),
)
def test_a_set_holds_exactly_the_members_with_an_add_that_no_removal_has_seen(steps, writers) -> None:
    """Against the plain model of an observed-remove set: adds have names, a removal names the adds it has seen."""
    documents = [Document.load((), writer) for writer in writers]
    adds: list[set[tuple[str, int]]] = [set() for _ in documents]
    removed: list[set[tuple[str, int]]] = [set() for _ in documents]
    last: dict[tuple[int, str], tuple[str, int]] = {}

    def hear(listener: int, speaker: int) -> None:
        documents[listener].apply(documents[speaker].diff())
        adds[listener] |= adds[speaker]
        removed[listener] |= removed[speaker]

    for number, (who, action, member, other) in enumerate(steps):
        if action == "hear":
            hear(who, other)
        elif action == "add":
            edit(documents[who], str(who)).add("tags", member)
            # Adding again replaces one's own earlier add.
            replaced = last.get((who, member))
            removed[who] |= {replaced} if replaced else set()
            last[who, member] = (member, number)
            adds[who].add((member, number))
        else:
            edit(documents[who], str(who)).remove("tags", member)
            removed[who] |= {add for add in adds[who] if add[0] == member}
        expected = sorted({name for name, _ in adds[who] - removed[who]})
        assert values_of(documents[who], SCHEMA).get("tags", []) == expected
    for listener in range(3):
        for speaker in range(3):
            hear(listener, speaker)
    shown = [values_of(document, SCHEMA).get("tags", []) for document in documents]
    assert shown[0] == shown[1] == shown[2] == sorted({name for name, _ in adds[0] - removed[0]})


def test_members_that_say_the_same_are_one_in_the_form_that_was_typed_first() -> None:
    ann = Document.load((), 10)
    editor = edit(ann, "ann")
    editor.add("tags", "Cafe\u0301")
    for spelling in ("Caf\u00e9", " Cafe\u0301 ", "\uff23af\u00e9"):
        editor.add("tags", spelling)
        assert values_of(ann, SCHEMA) == {"tags": ["Cafe\u0301"]}
    editor.add("tags", "caf\u00e9")  # case says something in a tag
    assert values_of(ann, SCHEMA) == {"tags": ["Cafe\u0301", "caf\u00e9"]}
    editor["tags"] = ["Caf\u00e9"]
    assert values_of(ann, SCHEMA) == {"tags": ["Cafe\u0301"]}
    editor.remove("tags", "Caf\u00e9 ")
    assert values_of(ann, SCHEMA) == {}


@given(st.permutations([3, 70, 5000]), st.permutations(["Cafe\u0301", "Caf\u00e9", "Caf\u00e9 "]))
def test_devices_that_spell_a_tag_in_their_ways_show_one_and_remove_all(writers, spellings) -> None:
    documents = [Document.load((), writer) for writer in writers]
    for document, spelling in zip(documents, spellings, strict=True):
        edit(document, "someone").add("tags", spelling)
    updates = [document.diff() for document in documents]
    for document in documents:
        for update in updates:
            document.apply(update)
    (shown,) = {tuple(tags(document, SCHEMA)) for document in documents}
    assert len(shown) == 1
    assert len(tags(documents[0])) == 3  # without a schema nobody knows that these are texts
    edit(documents[0], "someone").remove("tags", spellings[0])
    documents[1].apply(documents[0].diff())
    assert values_of(documents[0], SCHEMA) == values_of(documents[1], SCHEMA) == {}


def test_keys_that_no_editor_writes_are_shown_and_removed_like_others() -> None:
    ann = Document.load((), 10)
    with ann.transaction() as transaction:
        members = ann.map(transaction, "s.tags")
        members.insert(transaction, "no json\n7", "vip")
        members.insert(transaction, "[]", [1])
    editor = edit(ann, "ann")
    editor.add("tags", "vip")
    assert "vip" in tags(ann, SCHEMA)
    editor.remove("tags", "vip")
    assert values_of(ann, SCHEMA) == {"tags": [[1]]}
    editor["tags"] = []
    assert values_of(ann, SCHEMA) == {}
