"""What partners have and is not here: until when it is listed."""

import pytest

from crdt_sync.protocol.entries import UpdatesEntry
from crdt_sync.replica import unread
from crdt_sync.replica.origin import Origin
from crdt_sync.verdicts import VerdictCode, refused
from tests.replica.partners import RELAY, US, write

DEVICE = bytes(15) + b"d"


@pytest.mark.parametrize(
    ("code", "way", "listed"),
    [
        (VerdictCode.FORBIDDEN, "session", False),
        (VerdictCode.FORBIDDEN, "device", True),
        (VerdictCode.MALFORMED, "session", True),
    ],
)
def test_what_was_forbidden_to_others_is_listed_until_a_relay_brings_its_record(make_replica, code, way, listed):
    anna, ben = make_replica("anna"), make_replica("ben")
    write(ben, US, name="Us")
    entry = UpdatesEntry(US, ben.document(US).diff(), b"")
    why = refused(code, "ben may not").told
    anna.integrate([], Origin.of("device", DEVICE), (), None, {US: why, "customers/other": why})
    assert unread.reasons(anna.store) == {US: why, "customers/other": why}
    anna.integrate([entry], Origin.of(way, RELAY), (), None)
    assert anna.get(US)["name"] == "Us"
    assert (US in unread.reasons(anna.store)) is listed
    assert "customers/other" in unread.reasons(anna.store), "which nobody brought"
