"""Sections of which a policy asks that the audit log tells who was given them."""

import pytest

from crdt_relay import policy_report
from crdt_sync.errors import InvalidPolicy
from crdt_sync.policy.checking import check
from crdt_sync.policy.differences import difference
from crdt_sync.policy.packed import packed, unpacked
from crdt_sync.policy.reading import parse_policy
from crdt_sync.records import parse_schema

ROLE = "[[role.sales.grant]]\ncollection = 'customers'\nread = ['*', 'finance']\n"
WATCHED = "[audit]\nreads = ['customers.finance']\n"


def test_they_are_named_by_collection_and_section():
    policy = parse_policy(WATCHED + ROLE, "x")
    assert policy.watched == {"customers__finance"}
    assert unpacked(packed(policy)) == policy
    assert parse_policy(ROLE, "x").watched == frozenset()


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("reads = 'customers.finance'", "line 2: 'reads' must be a list of texts"),
        ("reads = ['customers']", "line 2: 'customers' is no section of a collection"),
        ("reads = ['customers.a.b']", "line 2: 'customers.a.b' is no section of a collection"),
        ("reads = ['Customers.finance']", "line 2: 'Customers.finance' is no section of a collection"),
        ("read = ['customers.finance']", "line 2: audit has no setting 'read'"),
        (f"reads = {['c.s' + 'x' * n for n in range(65)]}", "line 2: 'reads' has 65 entries"),
    ],
)
def test_what_is_wrong_is_told_with_its_line(text, told):
    with pytest.raises(InvalidPolicy) as error:
        parse_policy(f"[audit]\n{text}\n{ROLE}", "x")
    assert told in error.value.message


def test_a_section_that_there_is_none_of_is_told_where_the_schema_is_known():
    text = 'collection = "customers"\nversion = 1\n[fields.name]\n[fields.iban]\nsection = "finance"\n'
    schemas = {"customers": parse_schema(text, "x")}
    assert check(parse_policy(WATCHED + ROLE, "x"), schemas) == []
    (problem,) = check(parse_policy(WATCHED.replace("finance", "finanse") + ROLE, "x"), schemas)
    assert "there is no section 'customers.finanse'" in problem.message
    assert "finance" in problem.hint
    assert check(parse_policy(WATCHED.replace("customers", "others") + ROLE, "x"), schemas) == []


def test_a_change_of_it_is_told():
    old, new = (parse_policy(text + ROLE, "x") for text in ("", WATCHED))
    assert policy_report.changes_text(difference(old, new)) == "who is given customers.finance is told in the audit log"
    assert policy_report.changes_text(difference(new, old)) == "who is given customers.finance is told no more"
    assert policy_report.changes(difference(old, new))["reads"] == {"gained": ["customers.finance"], "lost": []}
    assert "The audit log tells who is given customers.finance" in policy_report.summary_text(new)
    assert difference(new, new).empty
