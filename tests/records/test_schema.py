import pytest

from crdt_sync.errors import InvalidSchema
from crdt_sync.limits import FIELDS_MAX
from crdt_sync.records import FieldSpec, Schema, bundled_schema, definition, load_schema, parse_schema

HEAD = 'collection = "people"\nversion = 1\n'
RANKED = HEAD + '[fields.n]\nkind = "stage"\nstates = ["a"]\nranks = {a = '


def test_the_bundled_schema_survives_its_toml(schema):
    assert parse_schema(schema.to_toml(), "stored") == schema
    assert schema.fields["phone"].kind == "review"
    assert schema.fields["visits"].type == "integer"
    assert schema.natural_key == ()


def test_a_label_with_quotes_controls_and_every_script_survives_toml():
    label = 'a "b" \\ \n\t\x7f 張偉 😀'
    schema = Schema(collection="people", version=3, label=label, fields={"name": FieldSpec(label=label)})
    assert parse_schema(schema.to_toml(), "stored") == schema


def test_a_schema_file_is_loaded_and_its_absence_is_named(tmp_path):
    path = tmp_path / "people.toml"
    with pytest.raises(InvalidSchema, match=r"people\.toml"):
        load_schema(path)
    path.write_text(HEAD + "[fields.name]\n", encoding="utf-8")
    assert load_schema(path).fields["name"] == FieldSpec()
    path.write_bytes(b"\xff")
    with pytest.raises(InvalidSchema, match="UTF-8"):
        load_schema(path)


def test_an_unknown_bundled_schema_names_the_known_ones():
    with pytest.raises(InvalidSchema) as caught:
        bundled_schema("../secrets")
    assert "customers" in caught.value.hint


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("not toml", "TOML"),
        ("", "collection"),
        (HEAD + "fields = {}", "1 to"),
        (HEAD + '[fields.name]\nkind = "magic"', "'name', 'kind'"),
        (HEAD + '[fields.name]\nkinds = "value"', "'name', 'kinds'"),
        (HEAD + "[fields.Name]", "'Name'"),
        (HEAD + "[fields._deleted]", "'_deleted': names that begin with '_' are reserved"),
        (HEAD + "[fields._source]", "'_source': names that begin with '_' are reserved"),
        (HEAD + '[fields.n]\nkind = "counter"\ntype = "date"', "counter"),
        (HEAD + '[fields.n]\nkind = "text"\ntype = "json"', "text"),
        (HEAD + '[fields.n]\ntype = "enum"', "choices"),
        (HEAD + '[fields.n]\nchoices = ["a"]', "choices"),
        (HEAD + '[fields.n]\nkind = "stage"', "states"),
        (HEAD + '[fields.n]\nkind = "stage"\nstates = ["a"]\ntransitions = {a = ["b"]}', "unknown state 'b'"),
        (HEAD + '[fields.n]\nkind = "stage"\nstates = ["a", "b"]\nranks = {a = 1}', "ranks"),
        (HEAD + '[fields.n]\nkind = "stage"\nstates = ["a", "a"]', "twice"),
        (RANKED + "9" * 5000 + "}", "far too long"),
        (RANKED + "0x" + "F" * 5000 + "}", "field 'n', 'ranks', 'a': a number has at most 4300 digits"),
        (RANKED + "0x" + hex(10**4300)[2:] + "}", "at most 4300 digits"),
        (HEAD + '[fields.n]\ncollection = "people"', "reference"),
        (HEAD + '[fields.n]\ntype = "reference"\ncollection = "Not One"', "collection"),
        (HEAD + '[fields.n]\nkind = "set"\nrequired = true', "required"),
        (HEAD + '[fields.n]\nsection = "No No"', "section"),
        (HEAD + '[fields.n]\n[fields.m]\nsection = "n"', "'n' names a field and a section"),
        (HEAD + '[fields.n]\nfilter = "sometimes"', "'filter'"),
        (HEAD + 'natural_key = ["email"]\n[fields.n]', "unknown field 'email'"),
        (HEAD + 'natural_key = ["n", "n"]\n[fields.n]', "twice"),
        (HEAD + 'natural_key = ["n"]\n[fields.n]\nkind = "set"', "'set'"),
        (HEAD + '[fields.a]\naliases = ["Mail"]\n[fields.b]\naliases = ["mail"]', "'mail'"),
        (HEAD.replace("1", "0") + "[fields.n]", "version"),
        (HEAD.replace("people", "People") + "[fields.n]", "collection"),
    ],
)
def test_a_wrong_schema_is_refused_with_file_and_place(text, named):
    with pytest.raises(InvalidSchema, match=r"my\.toml") as caught:
        parse_schema(text, "my.toml")
    assert named in caught.value.message
    assert caught.value.hint


def test_the_longest_rank_survives_toml_and_a_definition():
    stage = parse_schema(f"{RANKED}{hex(10**4300 - 1)}}}", "my.toml")
    assert parse_schema(stage.to_toml(), "again") == stage
    found = definition.read(definition.written(stage, {}, {}))
    assert found is not None
    assert found.schema == stage


def test_the_number_of_fields_is_limited_on_both_sides():
    def text(count):
        return HEAD + "".join(f"[fields.f{number}]\n" for number in range(count))

    assert len(parse_schema(text(FIELDS_MAX), "x").fields) == FIELDS_MAX
    with pytest.raises(InvalidSchema):
        parse_schema(text(FIELDS_MAX + 1), "x")


def test_states_are_ranked_by_their_order_or_explicitly(schema):
    plain = FieldSpec(kind="stage", states=("lead", "won"))
    assert [plain.rank(state) for state in ("lead", "won", "new one", None)] == [0, 1, -1, -1]
    stage = schema.fields["stage"]
    assert stage.rank("won") > stage.rank("negotiation") > stage.rank("lost") > stage.rank("unknown")


FILTERS: dict[str, dict[str, object]] = {
    "value": {},
    "enum": {"type": "enum", "choices": ["a"]},
    "reference": {"type": "reference"},
    "integer": {"type": "integer"},
    "boolean": {"type": "boolean"},
    "stage": {"kind": "stage", "states": ["a"]},
}
NO_FILTERS: dict[str, dict[str, object]] = {
    "review": {"kind": "review"},
    "rating": {"kind": "rating"},
    "counter": {"kind": "counter"},
    "set": {"kind": "set"},
    "log": {"kind": "log"},
    "text": {"kind": "text"},
    **{type_: {"type": type_} for type_ in ("decimal", "date", "datetime", "json")},
}


def test_a_field_may_filter_where_it_shows_one_value_that_is_never_in_question():
    for settings in FILTERS.values():
        assert FieldSpec.of({**settings, "filter": True}).filter
    for name, settings in NO_FILTERS.items():
        with pytest.raises(InvalidSchema, match="'filter' needs kind 'stage' or 'value'"):
            FieldSpec.of({**settings, "filter": True})
        assert not FieldSpec.of(settings).can_filter, name


def test_filters_and_sections_survive_toml_and_a_definition():
    fields = {"region": FieldSpec(filter=True), "iban": FieldSpec(section="finance")}
    schema = Schema(collection="people", version=1, fields=fields)
    assert parse_schema(schema.to_toml(), "stored") == schema
    found = definition.read(definition.written(schema, {}, {}))
    assert found is not None
    assert found.schema == schema
