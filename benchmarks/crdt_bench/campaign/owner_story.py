"""A story of programs over one store, who die in it, and what must hold at its end.

What a program was told is stored is there, once; what it was told is not stored is not there; a batch is there as a
whole or not at all; a writer id is lent to one at a time; whoever lives goes on; a sync brings all of it to the relay.
"""

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Any

from crdt_bench.campaign.owner_machine import NOW, Broken, Deaths, Killed, Machine, Program
from crdt_bench.minimal.line import exchange
from crdt_sync import EditedRecord, Replica
from crdt_sync.errors import CrdtSyncError, OwnerGone, OwnerSilent
from crdt_sync.replica.receipts import refresh_digests
from crdt_sync.storage import Batch

US, THEM, LAST = "customers/us", "customers/them", "customers/last"
Script = Sequence[tuple[str, ...]]
"""Steps: the tag of a change, who makes it, what it is, and of what."""


@dataclass
class Story:
    """What the programs did, and what each was told of it. Each change has a tag."""

    machine: Machine
    programs: dict[str, Program] = field(default_factory=dict)
    blocks: dict[str, ExitStack] = field(default_factory=dict)
    stored: set[str] = field(default_factory=set)
    unknown: set[str] = field(default_factory=set)
    refused: set[str] = field(default_factory=set)
    removed: dict[str, str] = field(default_factory=dict)  # edits that were taken away, and by which
    far: set[str] = field(default_factory=set)  # edits of another device
    synced: bool = False
    renewed: bool = False  # then it cannot always be told whether something was taken away

    def step(self, tag: str, name: str, do: str, *given: str) -> None:
        """A program does something, if it lives."""
        if do == "far":
            self._far(tag)
            return
        if name not in self.programs:
            self.programs[name] = Program(self.machine, name)
        program = self.programs[name]
        if not program.alive or (do == "remove" and not self.stored.issuperset(given)):
            return
        try:
            getattr(self, f"_{do}")(program, tag, *given)
        except Killed:
            self.machine.kill(program)
            self.unknown.add(tag)
        except OwnerGone as error:  # an edit is made all the same, by whoever owns the store then
            if do != "note" and not (do == "remove" and self.renewed):
                raise
            (self.unknown if isinstance(error, OwnerSilent) else self.refused).add(tag)
        else:
            if do not in {"begin", "renew", "sync"}:
                self.stored.add(tag)

    def _edit(self, program: Program, tag: str, record: str) -> None:
        with program.replica.edit(record, create=True) as customer:
            _write(customer, tag)

    def _batch(self, program: Program, tag: str) -> None:
        with program.replica.batch():
            self._edit(program, tag, US)
            self._edit(program, tag, THEM)

    def _remove(self, program: Program, tag: str, edit: str) -> None:
        self.removed[edit] = tag
        with program.replica.edit(THEM) as customer:
            customer.remove("tags", edit)

    def _begin(self, program: Program, tag: str) -> None:
        """Open a block, which `end` with this tag ends."""
        block = self.blocks[tag] = ExitStack()
        _write(block.enter_context(program.replica.edit(US, create=True)), tag)

    def _end(self, program: Program, tag: str) -> None:
        self.blocks.pop(tag).close()

    def _renew(self, program: Program, _: str) -> None:
        if program.replica.context.known_owner is None and _has(program.replica, US):
            self.renewed = True
            program.replica.renew(US)

    def _sync(self, program: Program, _: str, frames: str) -> None:
        """The owner has a session with the relay, which is cut after so many frames."""
        self.synced = True
        if program.replica.context.known_owner is None:
            exchange(program.replica, self.machine.relay, int(frames))

    def _far(self, tag: str) -> None:
        """Another device edits, and syncs."""
        with self.machine.far.edit(US, create=True) as customer:
            _write(customer, tag)
        self.far.add(tag)
        exchange(self.machine.far, self.machine.relay)

    def _note(self, program: Program, tag: str) -> None:
        program.store.commit([Batch(meta={f"note {tag}": b"1"})])


def _has(replica: Replica, record: str) -> bool:
    return replica.store.record_head(record) is not None


def _write(customer: EditedRecord, tag: str) -> None:
    if not customer["name"]:
        customer["name"] = "Name"
    customer.add("tags", tag)
    customer.increment("visits")


def tell(script: Script, deaths: Deaths) -> Machine:
    """Have the programs do this, let them die, and raise `Broken` where a promise is."""
    story = Story(Machine(deaths))
    try:
        with story.machine.running():
            for step in script:
                story.step(*step)
            for name in list(story.programs):  # whoever lives goes on
                story.step(f"last of {name}", name, "edit", LAST)
            _check(story)
    except (Broken, CrdtSyncError) as error:
        died = [f"{who} at {at}, {story.machine.reached[at][0]}" for at, who in deaths.items()]
        raise Broken(f"{'; '.join(died)}: {error}") from error
    return story.machine


def _check(story: Story) -> None:
    machine = story.machine
    with Replica.over(machine.disk.clone(), lambda: NOW) as replica:
        views = _check_told(story, replica)
        if story.synced:
            _check_synced(story, replica)
    for name, program in story.programs.items() if machine.owner is not None else ():
        if program.alive and _views(program.replica) != views:
            raise Broken(f"{name} reads what nobody else does")
    if machine.owner is not None and (taken := machine.owner.replica.context.writers._taken):
        raise Broken(f"writer ids were never given back: {taken}")


def _check_synced(story: Story, replica: Replica) -> None:
    """All comes to the relay, and to the other device, and theirs comes here."""
    machine = story.machine
    for device in (replica, machine.far, replica):
        if not exchange(device, machine.relay).settled:
            raise Broken("the relay cannot be synced with")
    refresh_digests(machine.relay.store)
    root = machine.relay.store.root()
    for device in (replica, machine.far):
        held = device.receipt()
        if (held.count, held.root) != (root.count, root.sum.to_bytes(32, "big")):
            raise Broken("after a sync the relay holds something else")
    _check_told(story, replica)
    if lost := story.far - set(_views(replica).get(US, {}).get("tags", ())):
        raise Broken(f"{lost} of another device is lost")


def _views(replica: Replica) -> dict[str, dict[str, Any]]:
    return {view.record: dict(view) for view in replica.list("customers")}


def _check_told(story: Story, replica: Replica) -> dict[str, dict[str, Any]]:
    """What a replica holds is what was told of it; what it shows."""
    views = _views(replica)
    tags = {record: set(view.get("tags", ())) for record, view in views.items()}
    there = {key.partition(" ")[2] for key in replica.store.meta_keys("note ")}.union(*tags.values())
    gone = story.removed.keys() - there
    there |= {story.removed[edit] for edit in gone}
    if lost := story.stored - there - gone:
        raise Broken(f"{lost} was stored, and is not there")
    if more := there - story.stored - story.unknown - story.far:
        raise Broken(f"{more} is there, and whoever asked was told that it is not")
    if kept := {edit for edit, by in story.removed.items() if by in story.stored and edit not in gone}:
        raise Broken(f"{kept} was taken away, and is there")
    for record, view in views.items():
        counted = tags[record] | (gone if record == THEM else set())
        if view["visits"] != len(counted):
            raise Broken(f"{record} has {view['visits']} visits of {counted}")
    for batch in {tag for tag in there if tag.startswith("both")}:
        if not (batch in tags.get(US, ()) and batch in tags.get(THEM, ())):
            raise Broken(f"{batch} is there in part")
    return views
