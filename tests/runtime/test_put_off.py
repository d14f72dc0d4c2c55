"""A partner that said "not now" and is at it by now."""

import asyncio
from types import SimpleNamespace

import pytest

from crdt_sync.errors import Rejected
from crdt_sync.runtime.conversation import Conversation


def test_a_partner_that_has_put_off_an_edit_is_not_given_up_while_it_tries_it() -> None:
    async def scenario() -> None:
        dialer = SimpleNamespace(settled=False, unanswered=True)
        waiting = SimpleNamespace(
            _dialer=dialer,
            _work=set(),
            _committing=0,
            _refusing_since=0,
            _not_now={},
            _now=lambda: 60_000_000,
            _address=SimpleNamespace(whom="the relay"),
            _state_changed=asyncio.Event(),
        )
        settled = asyncio.create_task(Conversation.settled(waiting))  # type: ignore[arg-type]
        await asyncio.sleep(0)
        assert not settled.done()
        dialer.unanswered = False
        waiting._state_changed.set()
        with pytest.raises(Rejected):
            await settled

    asyncio.run(scenario())
