"""Records that may be one customer: what is equal, however it is written, and nothing else."""

from types import SimpleNamespace

import pytest

from crdt_sync.exchange.suspects import suspects
from crdt_sync.records import bundled_schema

FIELDS = bundled_schema("customers").fields


def found(*people, deleted=()):
    records = [
        SimpleNamespace(record=f"customers/{number}", raw=raw, deleted=number in deleted, sources=())
        for number, raw in enumerate(people, 1)
    ]
    return [
        ([int(record[-1]) for record in group.records], set(group.why), group.names_agree)
        for group in suspects("customers", FIELDS, records)
    ]


@pytest.mark.parametrize(
    ("one", "other", "why"),
    [
        ({"email": "Anna@X.de"}, {"email": " anna@x.de"}, {"e-mail address"}),
        ({"email": "anna@x.de"}, {"emails": ["b@x.de", "ANNA@x.de"]}, {"e-mail address"}),
        ({"phone": "+49 30 90 18 20"}, {"phones": ["0049 (30) 901820"]}, {"phone number"}),
        ({"name": "Anna Müller", "birthday": "1990-07-05"}, {"name": "Müller,  ANNA", "birthday": "1990-07-05"},
         {"name and birthday"}),
        ({"name": "Anna", "postal_code": "10115"}, {"name": "anna", "postal_code": " 10115"},
         {"name and postal code"}),
        ({"name": "Anna Muster", "city": "Ulm"}, {"name": "MUSTER Anna", "city": "ulm"}, {"name and city"}),
        ({"name": "Anna Muster", "tags": ["a", "b"]}, {"name": "MUSTER Anna", "tags": ["a", "b"]},
         {"name and all else"}),
        ({"name": "Anna", "email": "a@x.de", "phone": "0301234567"},
         {"name": "Anna B", "email": "a@x.de", "phone": "030 1234567"}, {"e-mail address", "phone number"}),
    ],
)  # fmt: skip
def test_what_is_equal_however_it_is_written(one, other, why):
    assert found(one, other) == [([1, 2], why, True)]
    assert found(one, other, deleted={2}) == []


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ({"name": "Anna"}, {"name": "Anna"}),
        ({"email": "none"}, {"email": "none"}),
        ({"phone": "0"}, {"phone": "0"}),
        ({"phone": "unknown"}, {"phone": "unknown"}),
        ({"postal_code": "10115"}, {"postal_code": "10115"}),
        ({"name": "Anna", "postal_code": "10115"}, {"name": "Bert", "postal_code": "10115"}),
        ({"name": "Anna", "birthday": "1990-07-05"}, {"name": "Anna", "birthday": "1990-07-06"}),
        ({"city": "Ulm"}, {"city": "Ulm"}),
        ({"name": "Anna", "city": "Ulm"}, {"name": "Anna", "city": "Kiel"}),
        ({"email": "a@x.de"}, {"email": "b@x.de"}),
        ({"name": "Anna", "tags": ["a"]}, {"name": "Anna", "tags": ["b"]}),
        ({"tags": ["a"]}, {"tags": ["a"]}),
    ],
)
def test_what_speaks_for_nobody(one, other):
    assert found(one, other) == []


@pytest.mark.parametrize(
    ("field", "counts"),
    [("city", True), ("billing_city", True), ("Ort", True), ("Ville", True), ("capacity", False), ("sport", False)],
)
def test_which_fields_hold_a_city(field, counts):
    fields = {"name": FIELDS["name"], field: FIELDS["city"]}
    records = [
        SimpleNamespace(record=f"people/{number}", raw={"name": "Anna", field: "Ulm"}, deleted=False, sources=())
        for number in range(2)
    ]
    (group,) = suspects("people", fields, records)
    assert ("name and city" in group.why) is counts


def test_those_of_other_names_come_last():
    people = [
        {"name": "Anna", "phone": "030 1234567"},
        {"name": "Bert", "phone": "0301234567"},
        {"name": "Cem", "email": "c@x.de"},
        {"name": "Cem Kaya", "email": "c@x.de"},
    ]
    assert found(*people) == [([3, 4], {"e-mail address"}, True), ([1, 2], {"phone number"}, False)]


def test_each_record_is_looked_at_once():
    looked = 0

    def records():
        nonlocal looked
        for number in range(3000):
            looked += 1
            raw = {"name": f"N{number % 1500}", "phone": f"030 {number % 1500:07}", "email": "info@x.de"}
            yield SimpleNamespace(record=f"customers/{number:04}", raw=raw, deleted=False, sources=())

    groups = suspects("customers", FIELDS, records())
    assert looked == 3000
    assert len(groups) == 1501
    assert [len(group.records) for group in groups[-1:]] == [3000]
