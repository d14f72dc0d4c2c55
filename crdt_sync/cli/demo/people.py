"""The second act: three people who may see and do different things, and a phone that is stolen.

It is played by the commands that people would type, each a process of its own.
"""

import shutil
import time
from pathlib import Path

from crdt_sync.cli.demo.commands import Program, Running, Told
from crdt_sync.cli.demo.relay_process import RelayProcess
from crdt_sync.cli.demo.stage import Stage

_POLICY = """\
[[role.sales.grant]]
collection = "clients"
where = "region in user.regions"
read = ["*"]
write = ["phone", "notes"]
operations = ["edit", "resolve"]

[[role.lead.grant]]
collection = "clients"
read = ["*"]
write = ["*"]
operations = ["create", "edit", "delete", "restore", "resolve"]

[[role.lead.grant]]
collection = "crdt-sync-schemas"
read = ["*"]
write = ["*"]
operations = ["create", "edit"]

[user.anna]
role = "sales"
attributes = { regions = ["North"] }

[user.bernd]
role = "sales"
attributes = { regions = ["South"] }

[user."邓丽"]
role = "lead"
"""
_SCHEMA = """\
collection = "clients"
version = 1

[fields.name]
required = true

[fields.region]
filter = true

[fields.phone]

[fields.credit]
type = "integer"

[fields.notes]
kind = "text"
"""
_CLIENTS = {
    "North": ("Müller Nordsee GmbH", "Łódź Stocznia"),
    "South": ("Γαλάζια Χελώνα", "Tamales del Volcán"),
}
_USERS = ("anna", "bernd", "邓丽")


class People:
    """See the module. `relay` is one that takes whoever comes, until it has a policy."""

    def __init__(self, folder: Path, stage: Stage, relay: RelayProcess) -> None:
        self._folder = folder
        self._stage = stage
        self._relay = relay
        self._operator = Program("crdt_relay", "--data", folder / "relay", "the operator")
        self._anna, self._bernd, self._li = (self._device(f"{user}-phone", user) for user in _USERS)

    def play(self) -> None:
        """Play it. Raises `DemoFailed`."""
        self._begin()
        self._join(self._anna, self._bernd, self._li)
        self._fill()
        self._look()
        self._forbidden()
        watch = self._watching()
        self._stolen(watch)
        self._again()

    # --- acts ------------------------------------------------------------------------------------------------

    def _begin(self) -> None:
        self._stage.act("Second act: three people, and a policy that says who may see and do what")
        policy = self._folder / "policy.toml"
        policy.write_text(_POLICY, encoding="utf-8")
        applied = self._operator.run("policy", "apply", str(policy))[0]
        self._stage.check(applied["policy"] == 1, "the policy is in force, and the space has a key of its own")
        self._stage.tell("Anna sees the North, Bernd the South; they write phones and notes. 邓丽 sees and writes all")

    def _join(self, *devices: Program) -> None:
        links = [self._link(device) for device in devices]
        joining = [
            device.begin("join", link, "--name", device.place.name) for device, link in zip(devices, links, strict=True)
        ]
        users = [each.done()[0]["user"] for each in joining]
        self._stage.check(
            users == [device.name for device in devices],
            f"{', '.join(users)}: joined by an invite each, and by keys of their own",
            users,
        )

    def _fill(self) -> None:
        schema = self._folder / "clients.toml"
        schema.write_text(_SCHEMA, encoding="utf-8")
        self._li.run("schema", "add", str(schema))
        self._li.run("sync")  # what a first push is judged by
        for region, names in _CLIENTS.items():
            for number, name in enumerate(names):
                values = (f"name={name}", f"region={region}", f"credit={number + 1}000")
                self._li.run("set", "clients", *values)
        self._sync(self._li)
        self._sync(self._anna, self._bernd)

    def _look(self) -> None:
        self._stage.act("Each device holds what its user may see, and no byte of the rest")
        everybody = {name for names in _CLIENTS.values() for name in names}
        for device, held in (
            (self._anna, set(_CLIENTS["North"])),
            (self._bernd, set(_CLIENTS["South"])),
            (self._li, everybody),
        ):
            seen = {record["fields"]["name"] for record in device.run("list", "clients")}
            self._stage.check(seen == held, f"{device.name} sees {', '.join(sorted(seen))}", seen)
            files = [path for path in device.place.rglob("*") if path.is_file()]
            found = [name for name in everybody - held for path in files if name.encode() in path.read_bytes()]
            self._stage.check(not found, f"no file of {device.place.name} holds any other name", found)

    def _forbidden(self) -> None:
        record = self._anna.run("list", "clients")[0]["record"]
        refused = self._anna.begin("set", record, "credit=1000000").ended().error
        self._stage.check(
            refused is not None and refused["error"] == "edit_forbidden",
            f"anna may not write the credit, and is told at once: {refused['message'] if refused else ''}",
            refused,
        )

    def _watching(self) -> Running:
        self._stage.act("Anna's phone is stolen, while it is connected")
        self._thief = self._device("copied-disk", "the thief")
        shutil.copytree(self._anna.place, self._thief.place)
        watch = self._anna.begin("sync", "--watch")
        watch.until("in sync")
        return watch

    def _stolen(self, watch: Running) -> None:
        began = time.monotonic()
        self._operator.run("device", "revoke", "anna-phone", "--wipe")
        ended = watch.ended()
        self._stage.check(
            ended.error is not None and not (self._anna.place / "data.mdb").exists(),
            f"{time.monotonic() - began:.1f} s after the operator's word it is out, and its store destroyed",
            ended,
        )
        device = self._operator.run("device", "show", "anna-phone")[0]
        self._stage.check(device["wiped"] is not None, "it has confirmed that to the relay", device)
        refused = self._thief.begin("sync").ended().error
        self._stage.check(
            refused is not None and not (self._thief.place / "data.mdb").exists(),
            "the thief's copy of its disk is let in no more, and wiped likewise",
            refused,
        )
        self._stage.tell(f"the thief is told: {refused['message'] if refused else ''}", "dim")
        self._sync(self._bernd, self._li)

    def _again(self) -> None:
        self._stage.act("Anna gets another phone")
        new = self._device("anna-new-phone", "anna")
        self._join(new)
        self._sync(new)
        seen = {record["fields"]["name"] for record in new.run("list", "clients")}
        self._stage.check(seen == set(_CLIENTS["North"]), "everything of hers is there again, and nothing else", seen)

    # --- what happens in them --------------------------------------------------------------------------------

    def _device(self, place: str, user: str) -> Program:
        return Program("crdt_sync", "--store", self._folder / place, user)

    def _link(self, device: Program) -> str:
        made: Told = self._operator.run("invite", device.name, "--address", self._relay.address.url)[0]
        return str(made["link"])

    def _sync(self, *devices: Program) -> None:
        running = [(device, device.begin("sync")) for device in devices]
        for device, each in running:
            done = each.done()[0]
            self._stage.tell(f"{device.name} syncs: {done['pushed']} sent, {done['received']} received")
            self._stage.check_quietly(done["refused"] == 0, f"nothing of {device.name} is refused", done)
