"""What a worker says is heard in whatever pieces it comes, and as soon as it is there."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from crdt_sync.runtime.worker import pipe
from crdt_sync.runtime.worker.hearing import Hearing

STDOUT, STDERR = 1, 2
LONG_S = 60.0


def framed(body: bytes) -> bytes:
    return pipe.LENGTH.pack(len(body)) + body


def on_a_loop(scenario: Callable[[Hearing], Awaitable[None]]) -> None:
    async def run() -> None:
        await scenario(Hearing())

    asyncio.run(run())


def test_who_waits_has_the_answer_in_the_turn_of_the_loop_after_its_last_byte() -> None:
    async def scenario(hearing: Hearing) -> None:
        waiting = asyncio.create_task(hearing.answer(LONG_S))
        for byte in framed(b"answer"):
            await asyncio.sleep(0)
            assert not waiting.done()
            hearing.pipe_data_received(STDOUT, bytes((byte,)))
        await asyncio.sleep(0)
        assert waiting.done()
        assert waiting.result() == b"answer"

    on_a_loop(scenario)


def test_answers_that_come_together_are_taken_one_by_one() -> None:
    async def scenario(hearing: Hearing) -> None:
        hearing.pipe_data_received(STDOUT, framed(b"one") + framed(b"") + framed(b"three")[:5])
        assert await hearing.answer(LONG_S) == b"one"
        assert await hearing.answer(LONG_S) == b""
        hearing.pipe_data_received(STDOUT, framed(b"three")[5:])
        assert await hearing.answer(LONG_S) == b"three"

    on_a_loop(scenario)


def test_an_answer_that_is_not_here_in_time_can_be_waited_for_again() -> None:
    async def scenario(hearing: Hearing) -> None:
        hearing.pipe_data_received(STDOUT, framed(b"late")[:5])
        assert await hearing.answer(0.0) is None
        hearing.pipe_data_received(STDOUT, framed(b"late")[5:])
        assert await hearing.answer(0.0) == b"late"

    on_a_loop(scenario)


def test_what_was_said_before_the_end_is_heard_and_then_that_it_ended() -> None:
    async def scenario(hearing: Hearing) -> None:
        hearing.pipe_data_received(STDOUT, framed(b"last") + framed(b"cut off")[:-1])
        hearing.pipe_connection_lost(STDOUT, None)
        assert await hearing.answer(LONG_S) == b"last"
        with pytest.raises(EOFError):
            await hearing.answer(LONG_S)

    on_a_loop(scenario)


def test_who_waits_hears_of_the_end() -> None:
    async def scenario(hearing: Hearing) -> None:
        waiting = asyncio.create_task(hearing.answer(LONG_S))
        await asyncio.sleep(0)
        hearing.pipe_connection_lost(STDOUT, None)
        with pytest.raises(EOFError):
            await waiting

    on_a_loop(scenario)


def test_what_is_no_answer_is_refused_by_its_length_and_not_kept() -> None:
    async def scenario(hearing: Hearing) -> None:
        hearing.pipe_data_received(STDOUT, pipe.LENGTH.pack(pipe.ANSWER_BYTES_MAX + 1))
        piece = bytes(1 << 20)
        for _ in range(3 * pipe.ANSWER_BYTES_MAX // len(piece)):
            hearing.pipe_data_received(STDOUT, piece)
        assert len(hearing._said) <= pipe.ANSWER_BYTES_MAX + 2 * len(piece)
        with pytest.raises(pipe.PipeCorrupt, match="too large"):
            await hearing.answer(LONG_S)

    on_a_loop(scenario)


def test_the_end_of_the_error_output_is_kept() -> None:
    async def scenario(hearing: Hearing) -> None:
        for number in range(10_000):
            hearing.pipe_data_received(STDERR, b"%d " % number)
        assert hearing.report.endswith(b"9998 9999 ")
        assert len(hearing.report) <= 2000
        assert not hearing.silent.is_set()
        hearing.pipe_connection_lost(STDERR, None)
        assert hearing.silent.is_set()

    on_a_loop(scenario)
