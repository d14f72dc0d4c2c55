"""The relay of the demo: `crdt-relay serve` in a process of its own, which can be killed and started again."""

import importlib.util
import secrets
import signal
import socket
import sys
import time
from pathlib import Path

from crdt_sync.cli.demo import child
from crdt_sync.cli.demo.failures import DemoFailed, RelayMissing
from crdt_sync.runtime import Address

_HOST = "127.0.0.1"
_START_S = 30.0
_NEEDED = ("crdt_relay", "pydantic_settings", "structlog")  # what only an installation with the relay has


def check_relay_installed() -> None:
    """Raise `RelayMissing` where the relay cannot run."""
    if any(importlib.util.find_spec(name) is None for name in _NEEDED):
        raise RelayMissing


class RelayProcess:
    """A relay on a port that stays the same however often it is started."""

    def __init__(self, folder: Path) -> None:
        self._data = folder / "relay"
        self._log = folder / "relay.log"
        self._settings = folder / "settings"
        self._port = _free_port()
        self._token = secrets.token_urlsafe(24)
        self.address = Address(f"ws://{_HOST}:{self._port}", self._token)
        self._process = self._spawn()

    @property
    def pid(self) -> int:
        """The process id."""
        return self._process.pid

    def wait_ready(self) -> None:
        """Return once it takes connections. Raises `DemoFailed`."""
        until = time.monotonic() + _START_S
        while time.monotonic() < until:
            if self._process.poll() is not None:
                break
            try:
                socket.create_connection((_HOST, self._port), timeout=1.0).close()
            except OSError:
                time.sleep(0.02)
            else:
                return
        words = child.last_words(self._log)
        raise DemoFailed(f"the relay did not start: {words or 'it said nothing'}", "Try 'crdt-relay serve' by hand.")

    def kill(self) -> None:
        """SIGKILL: no goodbye, no flush."""
        child.end(self._process, signal.SIGKILL)

    def restart(self) -> None:
        """Start again on the same data."""
        self._process = self._spawn()
        self.wait_ready()

    def stop(self) -> None:
        """End it in order."""
        if self._process.poll() is None:
            child.end(self._process, signal.SIGTERM)

    def _spawn(self) -> child.Process:
        arguments = [sys.executable, "-m", "crdt_relay", "serve", "--data", str(self._data), "--port", str(self._port)]
        # The token by environment: arguments can be seen by other users. No settings file of the user's is read.
        environment = {
            "CRDT_RELAY_TOKEN": self._token,
            "CRDT_RELAY_METRICS": "false",
            "XDG_CONFIG_HOME": str(self._settings),
        }
        return child.start(arguments, self._log, environment)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind((_HOST, 0))
        return int(probe.getsockname()[1])
