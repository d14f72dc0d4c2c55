"""Which processes count as those of a process."""

import os
import subprocess
import sys

from crdt_bench.usage import descendants

_FORKS = """
import os, sys
child = os.fork()
if not child:
    sys.stdin.readline()
    os.execvp("sh", ["sh", "-c", "echo here; cat"])
print(child, flush=True)
os.waitpid(child, 0)
"""


def test_a_copy_that_is_about_to_start_a_program_does_not_count_until_it_does():
    with subprocess.Popen(
        (sys.executable, "-c", _FORKS), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        child = int(process.stdout.readline())
        assert child not in descendants(process.pid)
        assert process.pid in descendants(os.getpid())
        process.stdin.write("\n")
        assert process.stdout.readline() == "here\n"
        assert child in descendants(process.pid)
        process.stdin.close()
