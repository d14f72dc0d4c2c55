"""A partner is called what it is: nobody is told of a relay where another device is meant, nor the other way round."""

import pytest

from crdt_sync import Address
from crdt_sync.errors import UsageError
from crdt_sync.protocol.effects import Closed
from crdt_sync.runtime.endings import as_error

URL = "wss://192.0.2.1:8767"
CODES = ["unauthorized", "version_mismatch", "timeout", "protocol_violation", "connection_lost", "unavailable", "done"]


@pytest.mark.parametrize("by_partner", [True, False])
@pytest.mark.parametrize("code", CODES)
def test_the_end_of_a_session_names_who_ended_it(code: str, by_partner: bool) -> None:
    for direct, kind, other in ((True, "device", "relay"), (False, "relay", "device")):
        error = as_error(Closed(code, "because", None, by_partner=by_partner), Address(URL, direct=direct))
        assert URL in error.message
        assert other not in f"{error.message} {error.hint}"
        assert (f"the {kind} at {URL}" in error.message) == by_partner


@pytest.mark.parametrize(("direct", "kind"), [(True, "device"), (False, "relay")])
def test_an_address_that_is_none_says_of_what(direct: bool, kind: str) -> None:
    with pytest.raises(UsageError, match=f"is not the address of a {kind}"):
        Address("http://192.0.2.1", direct=direct)
