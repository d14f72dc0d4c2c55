"""Servers that others built, in processes of their own; `benchmarks/peers/install.sh` installs them with npm."""

import os
import shutil
from pathlib import Path

from crdt_bench.child import Child

FOLDER = Path(__file__).resolve().parents[1] / "peers"
PEERS = ("hocuspocus", "y_websocket")


def missing(folder: Path = FOLDER) -> str | None:
    """Why the peers cannot run here, None where they can."""
    if not folder.is_dir():
        return "their scripts are in benchmarks/peers of a checkout, which is not here"
    if shutil.which("node") is None:
        return "they need Node.js (20 or newer), and no command 'node' was found"
    if not (folder / "node_modules").is_dir():
        return "they are not installed: run benchmarks/peers/install.sh"
    return None


def serve(name: str, data: str) -> None:
    """Child: become that server, with its data in that directory. It says its port, and ends with its input."""
    os.execvp("node", ["node", str(FOLDER / f"{name}.js"), data])


def start_peer(name: str, data: Path) -> tuple[Child, int]:
    """A peer's process and its port."""
    data.mkdir(exist_ok=True)
    child = Child("crdt_bench.peers:serve", name=name, data=str(data))
    return child, int(child.hear())
