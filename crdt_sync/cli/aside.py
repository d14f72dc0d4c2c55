"""What repairs have set aside: listed for somebody to look at, or dropped. For devices and relays alike."""

import base64
import re
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from crdt_sync.cli.output import Output, table
from crdt_sync.storage import LmdbStore
from crdt_sync.storage.lmdb import SetAside
from crdt_sync.storage.lmdb.shared import opened_to_read

_READ_MAX = 120  # characters of a damaged value that are shown; --json has all bytes
_TEXT = re.compile(rb"[\x20-\x7e\xc2-\xf4][\x20-\x7e\x80-\xf4]{3,}")  # what may be text, as `strings` finds it


def tell(output: Output, path: Path, *, drop: bool) -> None:
    """List what was set aside in the store in `path`, and with `drop` drop it then. Raises `StoreError`."""
    with LmdbStore.open(path) if drop else opened_to_read(path) as store:
        found = store.set_aside()
        if drop:
            store.drop_set_aside()
    if output.as_json:
        output.emit({"set_aside": [_as_json(value) for value in found], "dropped": drop})
        return
    if not found:
        output.text("Nothing was set aside.")
        return
    output.show(
        table(("From", "Record", "Found", "Reads, damaged as it is"), [_row(value) for value in found], wrap=True)
    )
    output.text(_then(found, drop=drop))


def told(count: int) -> str:
    """What to add where a store is sound; nothing where nothing was set aside."""
    return f" Set aside by repairs: {count}; --aside lists it." if count else ""


def _then(found: Sequence[SetAside], *, drop: bool) -> str:
    count = "1 damaged value" if len(found) == 1 else f"{len(found)} damaged values"
    if drop:
        return f"{count} dropped."
    return f"{count}. With --json every byte of them; once nobody needs them, --drop drops them for good."


def _row(value: SetAside) -> tuple[str, str, str, str]:
    texts = (found.decode("utf-8", "replace") for found in _TEXT.findall(value.legible))
    read = " ".join(texts)
    found = datetime.fromtimestamp(value.at / 1_000_000, UTC)
    place = f"{value.database} {value.key}" if value.record != value.key else value.database
    shown = read if len(read) <= _READ_MAX else f"{read[: _READ_MAX - 1]}…"
    return place, value.record or "", f"{found:%Y-%m-%d %H:%M} UTC", shown


def _as_json(value: SetAside) -> dict[str, object]:
    return {
        "database": value.database,
        "key": value.key,
        "record": value.record,
        "at_us": value.at,
        "value_base64": base64.b64encode(value.value).decode("ascii"),
        "legible_base64": base64.b64encode(value.legible).decode("ascii"),
    }
