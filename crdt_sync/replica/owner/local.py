"""How programs of one machine and one user reach each other: a Unix socket in the store's directory, which only that
user may open; where there are none, a port of the loopback interface, and both sides prove that they can read a secret
there.
"""

import hmac
import os
import secrets
import socket
import struct
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from crdt_sync.files import replaced

SOCKET_NAME = "owner"
PORT_NAME = "owner.port"
SERVES_S = 5.0  # for another program that has just taken the store to serve it, or that ends to let go of it
_GREETING_S = 5.0  # for both sides to prove who they are, and to be accepted
_AGAIN_S = 0.01
_SECRET_BYTES = 32
_WAITING = 64  # connections that were not accepted yet
_PATH_BYTES_MAX = 100  # of a Unix socket: 104 with its end on macOS, 108 on Linux
_OURS, _THEIRS = b"owner", b"program"


class Refused(OSError):
    """The other side is another user's, or does not know the secret."""


class Listener:
    """Where other programs call. Make it with `listen`; the caller holds the store's lock."""

    def __init__(self, link: socket.socket, path: Path, secret: bytes) -> None:
        self._link = link
        self._path = path
        self._secret = secret

    def accept(self) -> socket.socket:
        """The next one that calls: let `check` say whether it is ours. Raises `OSError`, as once it was closed."""
        return self._link.accept()[0]

    def check(self, link: socket.socket) -> None:
        """Raise `Refused`, or another `OSError`, where the caller is none of ours. It may take its time."""
        if self._secret:
            _prove(link, self._secret, _OURS, _THEIRS)
        else:
            _check_user(link)

    def close(self) -> None:
        """Accept no more. Who calls now finds nobody."""
        with suppress(OSError):
            self._path.unlink(missing_ok=True)
        with suppress(OSError):
            self._link.shutdown(socket.SHUT_RDWR)  # or `accept` would go on in its thread
        self._link.close()


def listen(directory: Path, *, unix: bool | None = None) -> Listener:
    """Begin to listen for the store in `directory`. `unix`: by what; None: by what the system has. Raises `OSError`."""
    for name in (SOCKET_NAME, PORT_NAME):  # left by an owner that was killed
        (directory / name).unlink(missing_ok=True)
    if has_unix_sockets(directory) if unix is None else unix:
        link = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            os.fchmod(link.fileno(), 0o600)  # on Linux, what `bind` makes has this mode from its first moment
            with _short(directory) as path:
                link.bind(path)
                os.chmod(path, 0o600)
            link.listen(_WAITING)
        except BaseException:
            link.close()
            raise
        return Listener(link, directory / SOCKET_NAME, b"")
    link = socket.create_server(("127.0.0.1", 0), backlog=_WAITING)
    secret = secrets.token_bytes(_SECRET_BYTES)
    try:
        with replaced(directory / PORT_NAME) as file:
            file.write(b"%d %s\n" % (link.getsockname()[1], secret.hex().encode("ascii")))
    except BaseException:
        link.close()
        raise
    return Listener(link, directory / PORT_NAME, secret)


def is_named(directory: Path) -> bool:
    """Whether somebody may listen for the store in `directory`: who was killed leaves a name there, too."""
    return any((directory / name).exists() for name in (SOCKET_NAME, PORT_NAME))


def connect(directory: Path) -> socket.socket:
    """A link to who listens for the store in `directory`. Raises `OSError` where nobody does, or nobody of ours."""
    port = directory / PORT_NAME
    if port.exists():
        number, secret = _read_port(port)
        link = socket.create_connection(("127.0.0.1", number), _GREETING_S)
        try:
            _prove(link, secret, _THEIRS, _OURS)
        except BaseException:
            link.close()
            raise
        return link
    if not has_unix_sockets(directory):
        raise FileNotFoundError(f"nobody listens in {directory}")
    link = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        link.settimeout(_GREETING_S)
        with _short(directory) as path:
            _connect(link, path)
        _check_user(link)
    except BaseException:
        link.close()
        raise
    return link


def has_unix_sockets(directory: Path) -> bool:
    """Whether a Unix socket can be in the directory."""
    if not hasattr(socket, "AF_UNIX") or not hasattr(os, "fchmod"):
        return False
    return _has_proc() or len(os.fsencode(directory / SOCKET_NAME)) <= _PATH_BYTES_MAX


def _connect(link: socket.socket, path: str) -> None:
    until = time.monotonic() + _GREETING_S
    while True:
        try:
            link.connect(path)
        except BlockingIOError:  # as many others as may be are waiting to be accepted
            if time.monotonic() > until:
                raise
            time.sleep(_AGAIN_S)
        else:
            return


def _read_port(path: Path) -> tuple[int, bytes]:
    try:
        number, _, secret = path.read_text("ascii").strip().partition(" ")
        found = int(number), bytes.fromhex(secret)
    except ValueError:
        found = 0, b""
    if not 0 < found[0] < 1 << 16 or len(found[1]) != _SECRET_BYTES:
        raise FileNotFoundError(f"{path} names nobody")
    return found


def _has_proc() -> bool:
    return Path("/proc/self/fd").exists()


@contextmanager
def _short(directory: Path) -> Iterator[str]:
    """A name of the socket that is short enough, however deep the directory is."""
    if not _has_proc():
        yield str(directory / SOCKET_NAME)
        return
    handle = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        yield f"/proc/self/fd/{handle}/{SOCKET_NAME}"
    finally:
        os.close(handle)


def _check_user(link: socket.socket) -> None:
    """Raise `Refused` where the other side belongs to another user; where no system call tells, the mode must do."""
    option = getattr(socket, "SO_PEERCRED", None)
    if option is None:
        return
    _, user, _ = struct.unpack("3i", link.getsockopt(socket.SOL_SOCKET, option, struct.calcsize("3i")))
    if user not in {0, os.geteuid()}:
        raise Refused(f"user {user} called")


def _prove(link: socket.socket, secret: bytes, own: bytes, other: bytes) -> None:
    """Prove that we know the secret, and have it proved; neither side tells it. Raises `Refused`."""
    until = time.monotonic() + _GREETING_S
    link.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)  # or the proof, sent after the nonce, waits for its ACK
    link.settimeout(_GREETING_S)
    nonce = secrets.token_bytes(_SECRET_BYTES)
    link.sendall(nonce)
    theirs = _read(link, until)
    link.sendall(_proof(secret, own, theirs, nonce))
    if not hmac.compare_digest(_read(link, until), _proof(secret, other, nonce, theirs)):
        raise Refused("the caller does not know the secret")


def _proof(secret: bytes, who: bytes, challenge: bytes, own: bytes) -> bytes:
    return hmac.digest(secret, who + challenge + own, "sha256")


def _read(link: socket.socket, until: float) -> bytes:
    found = b""
    while len(found) < _SECRET_BYTES:
        if (left_s := until - time.monotonic()) <= 0:
            raise TimeoutError("the other side took too long over the greeting")
        link.settimeout(left_s)
        part = link.recv(_SECRET_BYTES - len(found))
        if not part:
            raise Refused("the other side ended the greeting")
        found += part
    return found
