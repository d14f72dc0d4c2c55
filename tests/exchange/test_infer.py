import pytest

from crdt_sync.errors import InvalidTable
from crdt_sync.exchange import infer_schema
from crdt_sync.exchange.infer import field_names
from crdt_sync.ids import is_collection
from crdt_sync.records.schema import parse_schema


@pytest.mark.parametrize(
    ("header", "name"),
    [
        ("CompanyName", "company_name"),
        ("customerID", "customer_id"),
        (" given_name", "given_name"),
        ("emp.var.rate", "emp_var_rate"),
        ("Straße", "strasse"),
        ("Téléphone", "telephone"),
        ("电话", "column_1"),
        ("e-mail адрес", "column_1"),
        ("2nd phone", "column_2nd_phone"),
        ("?!", "column_1"),
        ("", "unnamed_1"),
        ("x" * 99, "x" * 48),
    ],
)
def test_headers_become_valid_names(header, name):
    assert field_names([header]) == [name]
    assert is_collection(name)


def test_equal_headers_become_different_names():
    names = field_names(["a", "A", "a", "a_2", "x" * 99, "x" * 98, "", ""])
    assert names[:4] == ["a", "a_2", "a_3", "a_2_2"]
    assert len(set(names)) == len(names)
    assert all(map(is_collection, names))


def test_headers_are_kept_as_labels_even_through_toml(write):
    table = write("a.csv", ' a,"x\n""y""",电话\t,\u0085,\n1,2,3,4,5\n')
    schema = infer_schema(table, "things")
    assert tuple(spec.label for spec in schema.fields.values()) == table.columns
    assert parse_schema(schema.to_toml(), "test") == schema


def test_text_columns_are_strings(write):
    schema = infer_schema(write("a.csv", "a,b\n1,true\n"), "things")
    assert {spec.type for spec in schema.fields.values()} == {"string"}


@pytest.mark.parametrize(
    ("values", "kind"),
    [
        (['"x"', "null", '""'], "string"),
        (["1", "null", "12345678901234567890"], "integer"),
        (["true", "false"], "boolean"),
        (["1.5", "0.25"], "decimal"),
        (["1.5", "2.0"], "json"),
        (["1.5", "2"], "json"),
        (["1", "true"], "json"),
        (["1e-300"], "json"),
        (["[]"], "json"),
        (['{"a":1}'], "json"),
        (["null"], "json"),
        (["1", '"1"'], "json"),
    ],
)
def test_json_columns_get_the_type_that_all_their_values_have(write, values, kind):
    table = write("a.jsonl", "".join(f'{{"x":{value}}}\n' for value in values) + '{"y":1}\n')
    assert infer_schema(table, "things").fields["x"].type == kind


def test_rows_that_cannot_be_read_do_not_count(write):
    table = write("a.jsonl", '{"x":1}\n{"x":\n{"x":2}\n')
    assert infer_schema(table, "things").fields["x"].type == "integer"


def test_a_table_without_columns_is_refused(write):
    with pytest.raises(InvalidTable):
        infer_schema(write("a.json", "[]"), "things")
