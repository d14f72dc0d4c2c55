"""What was done here is kept for the relay where a policy is in force: bounded, and until it was noted."""

import io

import pytest

from crdt_sync.exchange.exporter import ExportOptions, export_table
from crdt_sync.limits import REPORTS_KEPT_MAX, REPORTS_TOLD_MAX
from crdt_sync.replica import reports
from crdt_sync.storage.values import Batch
from tests.replica.people import WIDE, RuledRelay, device, policy


@pytest.fixture
def anna(make_replica, time):
    return device(make_replica, RuledRelay(time), "anna", "", policy(WIDE))


def kept(replica):
    return [entry[1:] for entry in reports.waiting(replica.context)]


def test_an_export_is_reported_with_how_many_records(anna):
    for name in ("A", "B"):
        with anna.edit("people") as person:
            person.update({"name": name, "region": "North"})
    export_table(anna, "people", io.BytesIO(), ExportOptions(format="jsonl"))
    assert kept(anna) == [("export", "people", 2)]


def test_without_a_policy_nothing_is_kept(anna):
    anna.go_by(lambda: None, "")
    anna.report("export", "people", 2)
    assert kept(anna) == []


def test_what_was_noted_is_kept_no_more_and_what_came_meanwhile_is(anna):
    anna.report("export", "people", 1)
    noted = reports.waiting(anna.context)
    anna.report("export", "people", 2)
    reports.forget(anna.context, noted)
    assert kept(anna) == [("export", "people", 2)]
    reports.forget(anna.context, reports.waiting(anna.context))
    assert kept(anna) == []


def test_of_too_many_the_oldest_go_and_a_message_has_as_many_as_it_takes(anna):
    for number in range(REPORTS_KEPT_MAX + 3):
        anna.report("export", "people", number)
    assert [entry[2] for entry in kept(anna)] == list(range(3, 3 + REPORTS_TOLD_MAX))
    told = 0
    while waiting := reports.waiting(anna.context):
        told += len(waiting)
        reports.forget(anna.context, waiting)
    assert told == REPORTS_KEPT_MAX


@pytest.mark.parametrize("damaged", [b"\x00", b"\x81\x01", b"\x81\x82\x01\x02", b"\xff"])
def test_what_cannot_be_read_keeps_nobody_from_reporting(anna, damaged):
    anna.context.store.commit([Batch(meta={"reports": damaged})])
    assert kept(anna) == []
    anna.report("export", "people", 1)
    assert kept(anna) == [("export", "people", 1)]


def test_who_listens_hears_of_it(anna):
    heard = []
    forget = anna.context.watch_reports(lambda: heard.append(kept(anna)))
    anna.report("export", "people", 1)
    forget()
    anna.report("export", "people", 2)
    assert heard == [[("export", "people", 1)]]
