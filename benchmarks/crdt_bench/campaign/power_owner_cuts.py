"""Power cuts while the owner of a store commits for other programs.

What a program was told is stored is there after the cut; what it was not told of is there as a whole or not at all.
Whoever opens the store then makes what is not there, and imports again, and nothing is there twice.
"""

import subprocess
import tempfile
from pathlib import Path

from crdt_bench.campaign import power_owner as programs
from crdt_bench.campaign.power_cuts import ACKNOWLEDGED, UNDER_WAY, examine, memory_disk
from crdt_bench.campaign.power_images import Image
from crdt_bench.campaign.power_recording import Said, missing, record
from crdt_bench.campaign.tally import Tally
from crdt_sync import Replica
from crdt_sync.errors import CrdtSyncError

_PROGRAMS = (*programs.CLIENTS, programs.GUESTS)
_IMAGES_MAX = 100  # of one recorded history


def run(seed: int, count: int, *, planted: str = "") -> Tally:
    """Check `count` images; `planted` names a bug that must be found."""
    tally = Tally("power cuts of an owner", "images", seed, skipped=missing())
    if tally.skipped:
        return tally
    for number, first in enumerate(range(0, count, _IMAGES_MAX)):
        with tempfile.TemporaryDirectory(dir=memory_disk()) as name:
            directory = Path(name)
            given = (f"{seed}/{number}", *((planted,) if planted else ()))
            try:
                events = record(directory, "crdt_bench.campaign.power_owner", *given)
            except subprocess.CalledProcessError:
                tally.found(f"history {number}: a program failed")
                continue
            made = events.index(Said(programs.READY))
            examine(tally, directory, events, min(_IMAGES_MAX, count - first), _check, first=made + 1)
    return tally


def _check(image: Image, directory: Path) -> str:
    """What became of the image."""
    directory.mkdir(exist_ok=True)
    data = directory / "data.mdb"
    data.write_bytes(image.content)
    try:
        with Replica.open(directory, share=False) as replica:
            if findings := replica.store.verify().findings:
                return f"damage: {findings[0]}"
            held = {name: _held(replica, name) for name in _PROGRAMS}
            promised = {name: _promised(image, name) for name in _PROGRAMS}
            broken = _unkept(image, promised, held) or _uneven(replica, held) or _go_on(replica, held)
            return broken or (ACKNOWLEDGED if held == promised else UNDER_WAY)
    except CrdtSyncError as error:
        return f"it does not read: {error}"
    finally:
        data.unlink(missing_ok=True)


def _promised(image: Image, name: str) -> int:
    """How many edits, or rows, this program was told are stored."""
    return max((int(words.split()[2]) for words in image.said if words.startswith(f"stored {name} ")), default=0)


def _held(replica: Replica, name: str) -> int:
    """How many of its edits, or rows, are in the store."""
    if name == programs.GUESTS:
        return sum(1 for _ in replica.list(programs.GUESTS))
    return sum(1 for number in range(programs.EDITS) if _has(replica, programs.made(name, number)))


def _has(replica: Replica, record: str) -> bool:
    return replica.store.record_head(record) is not None


def _unkept(image: Image, promised: dict[str, int], held: dict[str, int]) -> str:
    """Which promise to a program is broken; nothing where none is."""
    for name, stored in promised.items():
        begun = image.said.count(f"begins {name}")
        at_once = programs.BATCH_ROWS if name == programs.GUESTS else 1
        under_way = begun and stored < programs.ROWS if name == programs.GUESTS else begun > stored
        if held[name] not in ({stored, stored + at_once} if under_way else {stored}):
            return f"{stored} of {name} were stored, and {held[name]} are there"
    return ""


def _uneven(replica: Replica, held: dict[str, int]) -> str:
    """What is there in part, or more than once; nothing where nothing is."""
    edits = {name: held[name] for name in programs.CLIENTS}
    for name, count in edits.items():
        for number in range(count):
            if not _has(replica, programs.made(name, number)):
                return f"a later edit of {name} is there, and its edit {number} is not"
        if count or _has(replica, programs.own(name)):
            view = replica.get(programs.own(name))
            if (view["visits"], view["city"]) != (count, str(count - 1)):
                return f"{name} made {count} edits, and shows {view['visits']} visits and {view['city']}"
    if (visits := replica.get(programs.SHARED).get("visits", 0)) != sum(edits.values()):
        return f"{sum(edits.values())} edits were made, and {visits} are counted"
    rows = sorted((int(view["number"]), view["name"], view["visits"]) for view in replica.list(programs.GUESTS))
    if rows != [(row, f"Guest {row}", row + 1) for row in range(held[programs.GUESTS])]:
        return f"the rows that are there are not those of the table: {rows}"
    owed = {entry.record for entry in replica.store.outbox(programs.PARTNER.replica, "", 1000)}
    if unowed := {view.record for view in replica.list()} - owed:
        return f"{min(unowed)} is here, and owed to nobody"
    return ""


def _go_on(replica: Replica, held: dict[str, int]) -> str:
    """Make what is not there, and import the table again: what is there more than once, or not at all, then."""
    for name in programs.CLIENTS:
        for number in range(held[name], programs.EDITS):
            programs.edit(replica, name, number)
    programs.bring(replica)
    whole = dict.fromkeys(programs.CLIENTS, programs.EDITS) | {programs.GUESTS: programs.ROWS}
    found = {name: _held(replica, name) for name in _PROGRAMS}
    return f"made again: {found}" if found != whole else _uneven(replica, whole)
