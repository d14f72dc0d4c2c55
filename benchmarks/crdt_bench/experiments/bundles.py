"""Records carried by a file: written by one device, applied by an empty one."""

import resource
import time
from dataclasses import dataclass
from pathlib import Path

from crdt_bench.child import Child, say
from crdt_bench.contents import make_device
from crdt_bench.results import Measurement, Outcome
from crdt_bench.workspace import workspace
from crdt_sync import Replica
from crdt_sync.bundles import apply_bundle, create_bundle
from crdt_sync.records import Document

NAME = "bundles"
_TOKEN = "a token of the space, as strong as the relay makes them"


@dataclass(frozen=True, slots=True)
class Sizes:
    """Records of the device, how many of them change between two bundles, and repetitions."""

    records: int = 10_000
    changed: int = 3
    rounds: int = 3


SMALL = Sizes(records=60, rounds=1)


def run(sizes: Sizes) -> list[Outcome]:
    """Each round writes, applies and answers anew, each step in a process of its own."""
    rounds = []
    with workspace() as folder:
        make_device(folder / "anna", sizes.records)
        for number in range(sizes.rounds):
            make_device(folder / f"ben-{number}")
            with Child(
                "crdt_bench.experiments.bundles:once", folder=str(folder), reader=f"ben-{number}", changed=sizes.changed
            ) as child:
                rounds.append(child.hear())
    what = f"{sizes.records:,} records"
    ratio = [entry["size"] / entry["documents"] for entry in rounds]
    note = f"{rounds[0]['size']:,} B, protected, for {rounds[0]['documents']:,} B"
    return [
        Measurement(NAME, f"{what}: written", "s", _all(rounds, "create_s")),
        Measurement(NAME, f"{what}: checked and applied by an empty device", "s", _all(rounds, "apply_s")),
        Measurement(NAME, f"{what}: written, processor time", "s", _all(rounds, "create_cpu_s")),
        Measurement(NAME, f"{what}: applied, processor time with the workers'", "s", _all(rounds, "apply_cpu_s")),
        Measurement(NAME, f"{what}: applied again, nothing new", "s", _all(rounds, "again_s")),
        Measurement(NAME, "bytes of the file, over the bytes of the documents", "", tuple(ratio), note=note),
        Measurement(NAME, f"{sizes.changed} changed: written", "ms", _all(rounds, "changed_ms")),
        Measurement(NAME, f"{sizes.changed} changed: bytes of the file", "B", _all(rounds, "changed_size")),
    ]


def _all(rounds: list[dict[str, float]], key: str) -> tuple[float, ...]:
    return tuple(entry[key] for entry in rounds)


def _processor_s() -> float:
    """Processor time of this process and of the workers that have ended."""
    usages = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(usage.ru_utime + usage.ru_stime for usage in usages)


def once(folder: str, reader: str, changed: int) -> None:
    """Child: one way there, one back, and one there again."""
    place = Path(folder)
    with Replica.open(place / "anna") as anna, Replica.open(place / reader) as ben:
        documents = sum(len(Document.load(anna.store.load(view.record).updates).diff()) for view in anna.list())
        files = [place / f"{reader}-{number}.bundle" for number in range(3)]
        begun, begun_cpu = time.perf_counter(), _processor_s()
        made = create_bundle(anna, files[0], token=_TOKEN)
        created, created_cpu = time.perf_counter(), _processor_s()
        done = apply_bundle(ben, files[0], token=_TOKEN)
        applied, applied_cpu = time.perf_counter(), _processor_s()
        again = apply_bundle(ben, files[0], token=_TOKEN)
        ended = time.perf_counter()
        if (done.received, again.received, again.known) != (made.end.updates, 0, made.end.updates):
            raise AssertionError("not every record arrived once")
        create_bundle(ben, files[1], partner=anna.id.hex(), token=_TOKEN)
        apply_bundle(anna, files[1], token=_TOKEN)
        for view in list(anna.list())[:changed]:
            with anna.edit(view.record) as customer:
                customer["phone"] = f"+49 30 {anna.store.head()}"
        began = time.perf_counter()
        small = create_bundle(anna, files[2], partner=ben.id.hex(), token=_TOKEN)
        took = time.perf_counter() - began
        if small.end.updates != changed:
            raise AssertionError(f"{small.end.updates} records of {changed} changed ones were written")
        say(
            {
                "create_s": created - begun,
                "apply_s": applied - created,
                "create_cpu_s": created_cpu - begun_cpu,
                "apply_cpu_s": applied_cpu - created_cpu,
                "again_s": ended - applied,
                "size": made.size,
                "documents": documents,
                "changed_ms": took * 1000,
                "changed_size": small.size,
            }
        )
