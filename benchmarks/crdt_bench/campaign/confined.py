"""Work in a forked process that may die, hang or eat memory: what damaged files and hostile bytes do to libraries."""

import faulthandler
import os
import resource
import signal
from collections.abc import Callable, Sequence

_ANSWER_BYTES_MAX = 1 << 20
_END = b"\0"  # after each answer

Work = Callable[[], str]


def confined(work: Work, seconds_max: int = 10, memory_bytes_max: int | None = None) -> str:
    """What `work` returns; `killed by ...` when its process did not live to tell, `raised ...` for an exception."""
    (answer,) = each_confined([work], seconds_max, memory_bytes_max)
    return answer


def each_confined(works: Sequence[Work], seconds_max: int = 10, memory_bytes_max: int | None = None) -> list[str]:
    """What `confined` says of each, in their order, for far less: a new process is forked only after one that died."""
    answers: list[str] = []
    while len(answers) < len(works):
        answers += _in_one_process(works[len(answers) :], seconds_max, memory_bytes_max)
    return answers


def _in_one_process(works: Sequence[Work], seconds_max: int, memory_bytes_max: int | None) -> list[str]:
    """The answers of these works up to the one that ended their process, that one's included."""
    reading, writing = os.pipe()
    process = os.fork()
    if process == 0:
        _work_and_exit(works, writing, seconds_max, memory_bytes_max)
    os.close(writing)
    with os.fdopen(reading, "rb") as told:
        *answers, _ = told.read(_ANSWER_BYTES_MAX * len(works)).decode("utf-8", "replace").split(_END.decode())
    _, status = os.waitpid(process, 0)
    if len(answers) == len(works):
        return answers
    if os.WIFSIGNALED(status):
        return [*answers, f"killed by {signal.Signals(os.WTERMSIG(status)).name}"]
    return [*answers, f"ended with {os.waitstatus_to_exitcode(status)} and no answer"]


def _mapped_bytes() -> int:
    with open("/proc/self/statm", encoding="ascii") as counts:
        return int(counts.read().split()[0]) * resource.getpagesize()


def _work_and_exit(works: Sequence[Work], writing: int, seconds_max: int, memory_bytes_max: int | None) -> None:
    try:
        faulthandler.disable()
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        if memory_bytes_max is not None:
            limit = _mapped_bytes() + memory_bytes_max  # a store that the parent has open maps gigabytes
            resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
        signal.signal(signal.SIGALRM, signal.SIG_DFL)
        os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
        with os.fdopen(writing, "wb", buffering=0) as telling:
            for work in works:
                signal.alarm(seconds_max)
                try:
                    answer = work()
                except BaseException as error:
                    answer = f"raised {type(error).__name__}: {error}"
                telling.write(answer.encode("utf-8", "replace").replace(_END, b"?") + _END)
    finally:
        os._exit(0)
