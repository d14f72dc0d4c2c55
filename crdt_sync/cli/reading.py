"""Commands that show records: `get`, `list`, `find`."""

import itertools
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from functools import partial

import click

from crdt_sync.cli import damaged, drawing
from crdt_sync.cli.conflicts import every_value, marked
from crdt_sync.cli.finding import Search
from crdt_sync.cli.invocation import Invocation
from crdt_sync.cli.options import LIMIT, all_option, collection_option, gathered, limit_option, record_argument
from crdt_sync.cli.ordering import SORTED_RECORDS_MAX, ordered
from crdt_sync.cli.output import Output, table
from crdt_sync.cli.references import whole_ids
from crdt_sync.cli.safe_text import one_line
from crdt_sync.cli.schemaless import tell_schemaless
from crdt_sync.cli.targets import existing, named_once, readable_collection, shorts
from crdt_sync.cli.values import (
    DELETED_FIELD,
    conflict_object,
    entry_time,
    entry_utc_time,
    label,
    plain,
    record_object,
    shown,
)
from crdt_sync.errors import UnknownField, UsageError
from crdt_sync.ids import collection_of
from crdt_sync.records import Conflict, Schema
from crdt_sync.records.authors import Authored
from crdt_sync.records.values import restore_value
from crdt_sync.replica import RecordView, Replica

_CELL_WIDTH_MAX = 26  # columns of the terminal that one cell takes in a list
_STATE_WIDTH = 10  # of the last column, which says 'conflict' or 'deleted'
_GAP_WIDTH = 3  # between two columns
_FIELDS_MIN = 2  # shown however narrow the terminal
_FILLED_MIN = 0.2  # share of the records that have a field, for it to be shown unasked
_CLOSE = 0.75  # of a word to the name of a collection, as difflib counts


@dataclass(frozen=True, slots=True)
class Listing:
    """How records are listed; None: as usual."""

    limit: int | None
    fields: str | None
    sort: str | None


listing_options = gathered(
    "listing",
    Listing,
    limit_option,
    click.option("--fields", "-f", metavar="A,B,...", help="Which fields, in which order; 'all' for every one."),
    click.option(
        "--sort",
        metavar="A,-B,...",
        help="By these fields, or 'changed' for when each changed here; '-' for falling. [by name; with --json by id]",
    ),
)
"""The command takes `listing`, a `Listing`."""


@click.command("get")
@record_argument
@click.argument("field", required=False, help="Print the value of this field alone.")
@all_option
@click.option("--authors", is_flag=True, help="Who wrote each value, and whether that is verified, claimed or forged.")
@click.pass_obj
def get(call: Invocation, record: str, field: str | None, everything: bool, authors: bool) -> None:
    """Show one record, with every value of its conflicts."""
    with call.open() as replica:
        found = existing(replica, record)
        if authors:
            written = [each for each in replica.authors(found) if field in (None, each.field)]
            _show_authors(call.output, found, written, replica.schema_of(found))
            return
        view = replica.get(found)
        standing = replica.record_status(found)
        opposed = replica.conflicts_of(found, superseded=everything) if everything or view.conflicts else ()
        schema = replica.schema_of(found)
        if schema is None:
            tell_schemaless(call.output, replica, collection_of(found))
        replica.unshown.discard(found)  # its values are shown, only the sides of a conflict may be missing
    if field is not None:
        value = view.get(field)
        masked = {"masked": view.masked[field].mask} if field in view.masked else {}
        told = {"record": found, "field": field, "value": plain(value), **masked}
        call.output.result(told, "" if value is None else shown(value))
        return
    if call.output.as_json:
        values = {"values": [conflict_object(found, conflict, schema) for conflict in opposed]} if everything else {}
        call.output.emit({**record_object(view), "state": standing.state, **values})
        damaged.tell(call.output, replica)
        return
    _show_record(call.output, view, schema, opposed)
    reason = f" ({standing.reason})" if standing.reason else ""
    call.output.text(f"{found}  {standing.state}{reason}{'  deleted' if view.deleted else ''}", "dim")
    damaged.tell(call.output, replica)


_IN_PART = " (in part)"


def _show_record(output: Output, view: RecordView, schema: Schema | None, opposed: Sequence[Conflict]) -> None:
    rows: list[tuple[str | drawing.Text, str | drawing.Text]] = []
    by_field = {conflict.field: conflict for conflict in opposed}
    for field, value in view.items():
        if field in by_field:
            name = label(schema, field)
            both = every_value(by_field[field], schema, value)
            rows.append((marked(name) if by_field[field].open else name, both))
        elif value not in (None, [], ""):
            rows.append((label(schema, field), shown(value) + (_IN_PART if field in view.masked else "")))
    if DELETED_FIELD in by_field:
        rows.append((marked("Deleted"), every_value(by_field[DELETED_FIELD], schema, None)))
    output.show(table(("Field", "Value"), rows, wrap=True))


def _show_authors(output: Output, record: str, written: Sequence[Authored], schema: Schema | None) -> None:
    fields = {} if schema is None else schema.fields
    told = [
        (each, restore_value(fields[each.field], each.value) if each.field in fields else each.value)
        for each in written
    ]
    if output.as_json:
        for each, value in told:
            output.emit(
                {
                    "record": record,
                    "field": each.field,
                    "value": plain(value),
                    "by": each.actor,
                    "at": entry_utc_time(each.stamp),
                    "known": each.standing.value,
                }
            )
        return
    rows = [
        (label(schema, each.field), shown(value), one_line(each.actor), entry_time(each.stamp), each.standing.value)
        for each, value in told
    ]
    output.show(table(("Field", "Value", "By", "When", "Known"), rows, wrap=True))
    if schema is None or not schema.signed:
        output.note("Nothing is signed in this collection: its schema does not say 'signed = true'.")


@click.command("list")
@click.argument("named", required=False, metavar="[COLLECTION]")
@collection_option
@listing_options
@click.option("--deleted", is_flag=True, help="Deleted records too.")
@click.pass_obj
def list_records(
    call: Invocation,
    named: str | None,
    collection: str | None,
    listing: Listing,
    deleted: bool,
) -> None:
    """List records as a table."""
    collection = named_once(named, collection)
    with call.open() as replica:
        if collection:
            chosen: str | None = readable_collection(replica, collection)
        else:
            chosen = next(iter(replica.schemas)) if len(replica.schemas) == 1 else None
        _show_list(call, replica, replica.list(chosen, deleted=deleted), chosen, listing)
        left_out = collection is None and chosen is not None
        tell_schemaless(call.output, replica, None if left_out else chosen, left_out=left_out)
        damaged.tell(call.output, replica)


@click.command("find")
@click.argument(
    "terms",
    nargs=-1,
    metavar="[FIELD=VALUE|TEXT]...",
    help="What fields hold (= and !=, and > >= < <= for numbers and dates), and words anywhere.",
)
@collection_option
@listing_options
@click.option("--text", "texts", multiple=True, metavar="TEXT", help="A word anywhere, whatever signs it has in it.")
@click.pass_obj
def find(
    call: Invocation,
    terms: Sequence[str],
    collection: str | None,
    listing: Listing,
    texts: Sequence[str],
) -> None:
    """Find records: find stage=lead 'visits>1' tags=vip müller."""
    with call.open() as replica:
        chosen = readable_collection(replica, collection) if collection else None
        if chosen is None and len(replica.schemas) == 1 and not replica.schemaless():
            chosen = next(iter(replica.schemas))
        if not terms and not texts:
            raise UsageError("what is to be found?", "Write field=value, field>value or a word; 'list' shows all.")
        search = Search(replica, terms, chosen, texts, partial(whole_ids, replica))
        if not _show_list(call, replica, search.matches(), chosen, listing):
            _tell_mistyped(call.output, replica, search.words)
        tell_schemaless(call.output, replica, chosen)
        damaged.tell(call.output, replica)


def _show_list(
    call: Invocation,
    replica: Replica,
    views: Iterator[RecordView],
    collection: str | None,
    listing: Listing,
) -> int:
    """Show records; how many."""
    output, limit, sort = call.output, listing.limit, listing.sort
    names = _named_fields(replica, collection, listing.fields)
    if output.as_json:
        if sort is not None:
            views = ordered(replica, views, _schemas(replica, collection), sort, limit or 0)
        emitted = 0
        for emitted, view in enumerate(itertools.islice(views, limit or None), 1):  # noqa: B007 - the last one counts
            data = record_object(view)
            if names is not None:
                data["fields"] = {name: plain(view[name]) for name in names if name in view}
            output.emit(data)
        return emitted
    most = LIMIT if limit is None else limit
    views = ordered(replica, views, _schemas(replica, collection), sort, most + 1 if most else 0)
    page = list(itertools.islice(views, most + 1 if most else None))
    more = bool(most) and len(page) > most
    page = page[:most] if more else page
    if not page:
        output.text("No records.")
        return 0
    found = {collection_of(view.record) for view in page}
    collection = next(iter(found)) if len(found) == 1 else collection
    schema = replica.schemas.get(collection) if collection else None
    ids = shorts(replica.store, (view.record for view in page))
    columns, hidden, rare = (
        (names, [], []) if names is not None else _telling_fields(page, ids, schema, output.console.width)
    )
    output.show(_records_table(page, ids, columns, schema, cut=names is None))
    output.note(f"The first {most}; --limit 0 shows all." if more else _count(len(page)))
    if sort is None and replica.count() > SORTED_RECORDS_MAX:
        output.note("In the order of their ids, as there are many here; --sort name sorts them.")
    _tell_hidden(output, schema, hidden, "it is too narrow here")
    _tell_hidden(output, schema, rare, "few of these have them, or they are long")
    return len(page)


def _tell_hidden(output: Output, schema: Schema | None, fields: Sequence[str], why: str) -> None:
    if fields:
        labels = ", ".join(label(schema, name) for name in fields)
        output.note(f"Not shown, as {why}: {labels}. --fields {','.join(fields)} shows them.")


def _tell_mistyped(output: Output, replica: Replica, words: Sequence[str]) -> None:
    """Where nothing was found: which word may have been meant for the name of a collection."""
    known = [*replica.schemas, *(found.collection for found in replica.schemaless())]
    for word in words:
        for name in get_close_matches(word, known, 1, _CLOSE):
            text = f"{word!r} was looked for as text. If the collection {name!r} is meant: crdt-sync find -c {name} ..."
            output.warning({"warning": "taken_as_text", "word": word, "message": text}, text)


def _count(number: int) -> str:
    return "1 record." if number == 1 else f"{number} records."


def _named_fields(replica: Replica, collection: str | None, fields: str | None) -> list[str] | None:
    if fields is None:
        return None
    known = [name for schema in _schemas(replica, collection) for name in schema.fields]
    without_schema = collection is not None and collection not in replica.schemas
    if fields == "all":
        return None if without_schema else list(dict.fromkeys(known))
    names = [name.strip() for name in fields.split(",") if name.strip()]
    for name in names if not without_schema else ():
        if name not in known:
            raise UnknownField(f"no field {name[:60]!r} here", f"Fields: {', '.join(dict.fromkeys(known))}.")
    return names


def _schemas(replica: Replica, collection: str | None) -> Iterable[Schema]:
    if collection is None:
        return replica.schemas.values()
    return [replica.schemas[collection]] if collection in replica.schemas else []


def _telling_fields(
    page: Sequence[RecordView], names: Mapping[str, str], schema: Schema | None, width: int
) -> tuple[list[str], list[str], list[str]]:
    """The fields, in the order of the schema, that enough of these records have: as many as fit beside each other, and
    those that do not; then those that fewer have, or that hold long texts.
    """
    used = Counter(name for view in page for name, value in view.items() if value not in (None, [], ""))
    left = width - max(map(drawing.cell_len, names.values())) - _STATE_WIDTH
    fitting: list[str] = []
    hidden: list[str] = []
    rare: list[str] = []
    for name in schema.fields if schema else sorted(used):
        spec = schema.fields[name] if schema else None
        if used[name] < _FILLED_MIN * len(page) or (spec is not None and spec.rules.long):
            rare += [name] if used[name] else []
            continue
        needed = max(
            drawing.cell_len(label(schema, name)), *(drawing.cell_len(one_line(_cell(view, name))) for view in page)
        )
        needed = min(needed, _CELL_WIDTH_MAX) + _GAP_WIDTH
        if needed <= left or len(fitting) < _FIELDS_MIN:
            fitting.append(name)
            left -= needed
        else:
            hidden.append(name)
    return fitting, hidden, rare


def _records_table(
    page: Sequence[RecordView], names: Mapping[str, str], columns: Sequence[str], schema: Schema | None, *, cut: bool
) -> "drawing.Table":
    stated = any(view.deleted or view.conflicts for view in page)
    headers = ["Record", *(label(schema, name) for name in columns), *(["State"] if stated else [])]
    rows: list[list[str | drawing.Text]] = []
    for view in page:
        cells: list[str | drawing.Text] = [names[view.record]]
        cells += [_cell(view, name) for name in columns]
        if stated:
            cells.append(_state(view))
        rows.append(cells)
    return table(headers, rows, width_max=_CELL_WIDTH_MAX if cut else None)


def _cell(view: RecordView, name: str) -> str:
    value = view[name] if name in view else None  # noqa: SIM401 - `get` refuses fields of other collections
    return "" if value is None else shown(value)


def _state(view: RecordView) -> "drawing.Text":
    if view.deleted:
        return drawing.Text("deleted", style="red")
    return drawing.Text("conflict", style="yellow") if view.conflicts else drawing.Text("")
