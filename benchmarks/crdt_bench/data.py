"""Where the real tables are."""

import os
from pathlib import Path


def shared_data() -> Path | None:
    """The folder with real customer tables, beside the checkout or where CRDT_SYNC_DATA says; None without one."""
    beside = Path(__file__).resolve().parents[3] / "shared" / "data"
    folder = Path(os.environ.get("CRDT_SYNC_DATA", beside))
    return folder if folder.is_dir() else None
