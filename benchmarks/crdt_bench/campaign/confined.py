"""Work in a forked process that may die, hang or eat memory: what damaged files and hostile bytes do to libraries."""

import faulthandler
import os
import resource
import signal
from collections.abc import Callable

_ANSWER_BYTES_MAX = 1 << 20


def confined(work: Callable[[], str], seconds_max: int = 10, memory_bytes_max: int | None = None) -> str:
    """What `work` returns; `killed by ...` when its process did not live to tell, `raised ...` for an exception."""
    reading, writing = os.pipe()
    process = os.fork()
    if process == 0:
        _work_and_exit(work, writing, seconds_max, memory_bytes_max)
    os.close(writing)
    with os.fdopen(reading, "rb") as answers:
        answer = answers.read(_ANSWER_BYTES_MAX).decode("utf-8", "replace")
    _, status = os.waitpid(process, 0)
    if os.WIFSIGNALED(status):
        return f"killed by {signal.Signals(os.WTERMSIG(status)).name}"
    return answer or f"ended with {os.waitstatus_to_exitcode(status)} and no answer"


def _work_and_exit(work: Callable[[], str], writing: int, seconds_max: int, memory_bytes_max: int | None) -> None:
    try:
        faulthandler.disable()
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        if memory_bytes_max is not None:
            resource.setrlimit(resource.RLIMIT_AS, (memory_bytes_max, memory_bytes_max))
        signal.signal(signal.SIGALRM, signal.SIG_DFL)
        signal.alarm(seconds_max)
        os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
        try:
            answer = work()
        except BaseException as error:
            answer = f"raised {type(error).__name__}: {error}"
        os.write(writing, answer.encode("utf-8", "replace"))
    finally:
        os._exit(0)
