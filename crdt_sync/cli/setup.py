"""Commands that set a store up: `init`, `relay`, `schema`."""

import getpass
import platform
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path

import click

from crdt_sync.cli import partners
from crdt_sync.cli.commands import Commands
from crdt_sync.cli.hints import filled_in
from crdt_sync.cli.invocation import Invocation, invocation
from crdt_sync.cli.options import AS_KEPT, Way, authorities_option, relay_option, token_options, way_options
from crdt_sync.cli.output import Output, table
from crdt_sync.cli.targets import known_collection
from crdt_sync.errors import InvalidSchema, StoreMissing, UsageError
from crdt_sync.records import Schema, bundled_schema, load_schema
from crdt_sync.replica import Replica
from crdt_sync.runtime import Address


@click.command("init")
@click.argument("name", required=False, help="Who edits made here are signed by; else user-machine.")
@click.option(
    "--schema",
    multiple=True,
    metavar="FILE",
    show_default="customers",
    help="Schema file, or the name of a bundled schema.",
)
@relay_option
@token_options
@authorities_option
@click.pass_obj
def init(
    call: Invocation,
    name: str | None,
    schema: Sequence[str],
    url: str | None,
    token: str | None,
    authorities: Path | None,
) -> None:
    """Make a store for this device."""
    loaded = [_schema(given) for given in schema or ["customers"]]
    if token and not url:
        raise UsageError("a token without a relay", "Give --relay as well.")
    address = Address(url, token or "", authorities) if url else None
    with Replica.create(call.store, name or signature(), loaded, share=False) as replica:
        if address is not None:
            partners.save(call.store, address)
        data = {
            "store": str(call.store),
            "name": replica.name,
            "replica": replica.id.hex(),
            "collections": list(replica.schemas),
            "relay": address.url if address else None,
        }
    collections = ", ".join(replica.schemas)
    text = f"A store for {replica.name!r} is in {call.store}, with the collection {collections}."
    call.output.result(data, text)
    example = "crdt-sync import FILE.csv" if len(loaded) == 1 else "crdt-sync schema"
    call.output.note(
        f"Next: {example}, crdt-sync set {loaded[0].collection} name=... "
        + ("and crdt-sync sync" if address else "and crdt-sync relay ws://HOST:8765 --token TOKEN")
    )


@click.command("relay")
@click.argument("url", required=False, help="Address, ws:// or wss://.")
@way_options
@click.option("--keep-token", is_flag=True, help="Give the token of the former address to this one, too.")
@click.pass_obj
def relay(
    call: Invocation,
    url: str | None,
    way: Way,
    keep_token: bool,
) -> None:
    """Show the relay that this store syncs with, or choose another."""
    with call.open():
        changes = url is not None or keep_token or way != AS_KEPT
        address = partners.chosen(call.store, url, way, keep_token=keep_token, required=changes)
        dropped = address is not None and changes and not address.token and bool(partners.token(call.store))
        before = None
        with suppress(UsageError):  # what cannot be read named no relay
            before = partners.load(call.store)
        if address is not None and changes:
            partners.save(call.store, address)
    if address is None:
        call.output.result({"relay": None}, "No relay is chosen yet: crdt-sync relay ws://HOST:8765 --token TOKEN")
        return
    authority = str(address.authorities or "") or None
    data = {"relay": address.url, "token": bool(address.token), "ca": authority, "transport": address.transport}
    secret = "with a token" if address.token else "without a token"
    how = "" if address.transport == "auto" else f", by {address.transport} only"
    call.output.result(data, f"{address.url}, {secret}{how}")
    if dropped:
        whose = "calls between devices" if before is None else before.url
        call.output.warning(
            {"warning": "token_dropped", "message": f"the token that was kept is for {whose}, and is set aside"},
            f"The token that was kept is for {whose}: it is not sent to this relay, and is set aside. If it is this "
            "relay's too, or devices are to call each other with it: crdt-sync relay --keep-token",
        )
    if partners.open_to_others(call.store):
        call.output.note(
            f"Other users of this machine may read {call.store / partners.TOKEN_FILE}: chmod 600 it.", "yellow"
        )


@click.group("schema", cls=Commands, invoke_without_command=True)
@click.pass_context
def schemas(context: click.Context) -> None:
    """Show the collections and their fields, add a schema, or decide between two."""
    if context.invoked_subcommand is not None:
        return
    call = invocation(context)
    with call.open() as replica:
        known = list(replica.schemas.values())
    if call.output.as_json:
        for schema in known:
            call.output.emit(_summary(schema))
        return
    rows = [(s.collection, s.label, str(s.version), str(len(s.fields)), ", ".join(s.natural_key)) for s in known]
    call.output.show(table(("Collection", "Label", "Version", "Fields", "Natural key"), rows))


@schemas.command("show")
@click.argument("collection", required=False)
@click.option("--toml", "as_toml", is_flag=True, help="Print the schema file.")
@click.pass_obj
def schema_show(call: Invocation, collection: str | None, as_toml: bool) -> None:
    """Show the fields of a collection; of a bundled one also where there is no store yet."""
    found: Sequence[Schema] = ()
    try:
        with call.open() as replica:
            schema = replica.schemas[known_collection(replica, collection, "")]
            found = replica.disputed_schemas().get(schema.collection, ())
    except StoreMissing as missing:
        schema = _bundled(collection, missing)
    if as_toml:
        call.output.text(schema.to_toml().rstrip("\n"))
    elif call.output.as_json:
        for each in found or (schema,):
            call.output.emit({**_summary(each), "fields": asdict(each)["fields"]})
    else:
        for number, each in enumerate(found or (schema,), 1):
            if found:
                used = "is used" if number == 1 else "was made elsewhere, and does not fit"
                call.output.text(f"{number}. Version {each.version} {used}:")
            _show_fields(call.output, each)
    if found:
        call.output.note(f"Decide for one: crdt-sync schema resolve {schema.collection} 1")


@schemas.command("add")
@click.argument("source", metavar="FILE", help="Schema file, or the name of a bundled schema.")
@click.option("--stricter", is_flag=True, help="Let it refuse records that can be made so far, on every device.")
@click.pass_obj
def schema_add(call: Invocation, source: str, stricter: bool) -> None:
    """Add a collection, or a newer version of one, here and with the next syncs on every device."""
    schema = _schema(source)
    with call.open() as replica, filled_in(FILE=source):
        replica.add_schema(schema, stricter=stricter)
        if (member := replica.membership) is not None:
            from crdt_sync.cli.policy_remarks import tell_misfits  # noqa: PLC0415 - few devices have a policy

            tell_misfits(call.output, member.in_force(), schema)
    call.output.result(_summary(schema), f"{schema.collection}, version {schema.version}: {len(schema.fields)} fields.")


@schemas.command("resolve")
@click.argument("collection")
@click.argument("number", type=int, help="As 'crdt-sync schema show COLLECTION' counts them.")
@click.pass_obj
def schema_resolve(call: Invocation, collection: str, number: int) -> None:
    """Decide between definitions of a collection that were made apart and do not fit each other."""
    with call.open() as replica:
        schema = replica.resolve_schema(known_collection(replica, collection), number)
    call.output.result(_summary(schema), f"{schema.collection} is used as number {number} says, on every device.")


def _schema(given: str) -> Schema:
    path = Path(given).expanduser()
    if path.suffix or path.exists() or "/" in given:
        return load_schema(path)
    return bundled_schema(given)


def _bundled(name: str | None, missing: StoreMissing) -> Schema:
    """The bundled schema that is asked for where there is no store yet. Raises `missing` where it is none."""
    try:
        return bundled_schema(name or "")
    except InvalidSchema:
        raise missing from None


def _summary(schema: Schema) -> dict[str, object]:
    return {
        "collection": schema.collection,
        "label": schema.label,
        "version": schema.version,
        "natural_key": list(schema.natural_key),
        "fields": list(schema.fields),
    }


def _show_fields(output: Output, schema: Schema) -> None:
    rows = []
    for name, spec in schema.fields.items():
        values = ", ".join(spec.choices or spec.states) or (spec.collection or "")
        told = (
            ("required", spec.required),
            ("deprecated", spec.deprecated),
            ("filter", spec.filter),
            (f"section {spec.section}", spec.section),
        )
        flags = ", ".join(word for word, holds in told if holds)
        rows.append((name, spec.label, spec.kind, spec.type, flags, values))
    output.show(table(("Field", "Label", "Kind", "Type", "", "Values"), rows, wrap=True))


def signature() -> str:
    """What a device is called that nobody named."""
    try:
        user = getpass.getuser()
    except (KeyError, OSError):
        user = "device"
    return f"{user}-{platform.node() or 'device'}"[:64]
