"""Integrates hostile updates, each in a forked process that may be killed. Run as a program by the tests beside it.

Reads `{"cases": [{"base": hex, "update": hex}], "gate": bool}` from standard input; writes one outcome per case:
a verdict's code, or `killed ...` when the process did not live to tell. Without the gate the bytes go straight
into the document, which shows that the cases are dangerous.
"""

import json
import os
import resource
import sys

from crdt_sync.records import Document, Integrator, reading_of

MEMORY_BYTES_MAX = 600 * 1024 * 1024
HONEST = b"\x01\x01\x07\x00\x08\x01\x03c.x\x01\x77\x01a\x00"
SECONDS_MAX = 2  # of a processor: a machine that others need ends nobody


def outcome(base: bytes, update: bytes, guarded: bool) -> str:
    """Integrate, then do everything that is ever done with a record."""
    if not guarded:
        document = Document.load([base, update] if base else [update])
        reading_of(document, all_kinds=True)
        document.content_digest()
        with document.transaction() as transaction:
            document.text(transaction, "t").get_string(transaction)
            document.array(transaction, "a").to_json(transaction)
            document.map(transaction, "m").to_json(transaction)
        return "accepted"
    gate = Integrator(1)
    stored = [base] if base else []
    before = gate.integrate("customers/a", stored, [], None, True, True)
    digest = gate.document("customers/a").digest()
    after = gate.integrate("customers/a", None, [update], None, True, True)
    document = gate.document("customers/a")
    reading_of(document, all_kinds=True)
    document.content_digest()
    assert after.snapshot is not None
    verdict = after.verdicts[0]
    if verdict.code != "accepted":
        assert (document.digest(), after.state_vector) == (digest, before.state_vector), "a refusal left a trace"
    return verdict.code


def confined(base: bytes, update: bytes, guarded: bool) -> str:
    """The outcome of one case, from a process of its own with limits on memory and time."""
    reading, writing = os.pipe()
    process = os.fork()
    if process == 0:
        os.close(reading)
        resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES_MAX, MEMORY_BYTES_MAX))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        resource.setrlimit(resource.RLIMIT_CPU, (SECONDS_MAX, SECONDS_MAX))
        os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
        try:
            told = outcome(base, update, guarded)
        except AssertionError as error:
            told = f"wrong: {error}"
        except BaseException as error:
            told = f"raised {type(error).__name__}"
        os.write(writing, told.encode())
        os._exit(0)
    os.close(writing)
    with os.fdopen(reading, "rb") as pipe:
        told = pipe.read().decode()
    _, status = os.waitpid(process, 0)
    return told or f"killed by signal {os.waitstatus_to_exitcode(status)}"


def main() -> None:
    """Judge every case of standard input."""
    job = json.load(sys.stdin)
    cases = [(bytes.fromhex(case["base"]), bytes.fromhex(case["update"])) for case in job["cases"]]
    outcome(b"", HONEST, job["gate"])  # what is imported when it is needed, here: each process would do it again
    json.dump([confined(base, update, job["gate"]) for base, update in cases], sys.stdout)


if __name__ == "__main__":
    main()
