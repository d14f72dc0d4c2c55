"""Views, lists and searches: typed values, in the order of the schema."""

from datetime import UTC, date, datetime
from decimal import Decimal

import pytest

from crdt_sync.errors import InvalidRecordId, UnknownCollection, UnknownField, UnknownRecord
from tests.replica.wire import exchange

VALUES = {
    "name": "Müller GmbH",
    "phone": "+49 (0)30 90-18-20",
    "address": "Am Markt 1\n2. Hof",
    "amount": Decimal("1234.50"),
    "birthday": date(1980, 2, 29),
    "last_contact": datetime(2026, 3, 1, 8, 30, tzinfo=UTC),
    "newsletter": False,
    "employees": 2**60,
    "tags": ["a", "ß"],
    "visits": 3,
    "notes": "“naïve” 电话",
}


@pytest.fixture
def record(replica):
    with replica.edit("customers") as customer:
        customer.update(VALUES)
        customer.append("timeline", {"call": [1, None]})
    return customer.record


def test_values_come_back_as_what_they_were(replica, record):
    view = replica.get(record)
    assert {field: view[field] for field in VALUES} == VALUES
    assert {field: type(view[field]) for field in VALUES} == {field: type(value) for field, value in VALUES.items()}
    (entry,) = view["timeline"]
    assert (entry["value"], entry["by"]) == ({"call": [1, None]}, "anna")


def test_a_view_is_a_mapping_in_the_order_of_the_schema(replica, record):
    view = replica.get(record)
    order = list(replica.schemas["customers"].fields)
    assert list(view) == sorted(view, key=order.index)
    assert len(view) == len(VALUES) + 1
    assert "city" not in view
    assert view.get("city") is None
    assert view.get("city", "?") == "?"
    with pytest.raises(KeyError):
        view["city"]
    assert "cty" not in view
    for read in (view.get, view.__getitem__):
        with pytest.raises(UnknownField) as raised:
            read("ctiy")
        assert "city" in raised.value.hint


def test_a_cleared_field_holds_none(replica, record):
    with replica.edit(record) as customer:
        del customer["address"]
    assert replica.get(record)["address"] is None


def test_a_view_does_not_change_with_the_record(replica, record):
    view = replica.get(record)
    with replica.edit(record) as customer:
        customer["name"] = "Other"
    assert view["name"] == "Müller GmbH"


def test_what_is_not_there_cannot_be_got(replica):
    with pytest.raises(UnknownRecord):
        replica.get("customers/us")
    with pytest.raises(InvalidRecordId):
        replica.get("customers")
    with pytest.raises(UnknownRecord):
        replica.document("customers/us")
    with pytest.raises(UnknownRecord):
        replica.record_status("customers/us")


def test_a_list_has_one_collection_or_all(make_replica, keyed_schema, replica):
    replica.add_schema(keyed_schema)
    with replica.edit("customers/a", create=True) as customer:
        customer["name"] = "A"
    with replica.edit("guests/a", create=True) as guest:
        guest["name"] = "G"
    assert [view.record for view in replica.list("customers")] == ["customers/a"]
    assert [view.record for view in replica.list()] == ["customers/a", "guests/a"]
    for mistyped in ("guest", "Guests"):
        for look in (replica.list, replica.find, replica.conflicts):
            with pytest.raises(UnknownCollection) as raised:
                look(mistyped)
            assert "guests" in raised.value.hint


def test_a_collection_without_a_schema_is_known_by_its_records(make_replica, keyed_schema, relay):
    guests, stranger = make_replica("guests", keyed_schema), make_replica("stranger")
    with guests.edit("guests/a", create=True) as guest:
        guest["name"] = "G"
    exchange(guests, relay)
    exchange(stranger, relay)
    assert [view.record for view in stranger.list("guests")] == ["guests/a"]
    assert [view.record for view in stranger.find("guests", name="G")] == ["guests/a"]


def test_a_list_is_longer_than_one_page(replica):
    with replica.batch():
        for number in range(1001):
            with replica.edit(f"customers/{number}", create=True) as customer:
                customer["name"] = str(number)
    assert {view["name"] for view in replica.list("customers")} == set(map(str, range(1001)))


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ({"name": "Müller GmbH"}, True),
        ({"name": "müller gmbh"}, True),
        ({"name": "Mu\u0308ller  GmbH "}, True),
        ({"name": "Müller"}, False),
        ({"tags": "a"}, True),
        ({"tags": "A"}, True),
        ({"tags": ["ß", "a"]}, True),
        ({"tags": ["a", "b"]}, False),
        ({"tags": []}, False),
        ({"phones": None}, True),
        ({"phone": "004930901820"}, True),
        ({"text": "901820"}, True),
        ({"timeline": {"call": [1, None]}}, True),
        ({"timeline": {"call": [2]}}, False),
        ({"amount": Decimal("1234.5")}, True),
        ({"amount": "1234.5"}, True),
        ({"birthday": date(1980, 2, 29)}, True),
        ({"newsletter": False}, True),
        ({"newsletter": True}, False),
        ({"visits": 3, "name": "Müller GmbH"}, True),
        ({"visits": 4, "name": "Müller GmbH"}, False),
        ({"city": None}, True),
        ({"text": "MÜLLER"}, True),
        ({"text": "Markt 1\n2. hof"}, True),
        ({"text": "naïve” 电"}, True),
        ({"text": "SS"}, True),
        ({"text": "1234.5"}, True),
        ({"text": "', '"}, False),
        ({"text": "value"}, False),
        ({"text": "müller", "visits": 4}, False),
    ],
)
def test_finding(replica, record, query, found):
    assert [view.record for view in replica.find("customers", **query)] == ([record] if found else [])


def test_a_field_that_is_mistyped_is_not_searched_in_vain(replica, record):
    with pytest.raises(UnknownField):
        list(replica.find("customers", cty="Berlin"))


def test_deleted_records_are_not_found(replica, record):
    replica.delete(record)
    assert list(replica.find("customers", text="müller")) == []
