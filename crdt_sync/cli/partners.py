"""The relay that a store syncs with unless told otherwise: kept beside the data, the token for its owner only."""

import secrets
import stat
import tomllib
from contextlib import suppress
from pathlib import Path

from crdt_sync.cli.options import AS_KEPT, Way
from crdt_sync.cli.values import local_time, utc_time
from crdt_sync.errors import InvalidSettings, UsageError
from crdt_sync.files import replaced
from crdt_sync.limits import TOKEN_LENGTH_MAX
from crdt_sync.replica import PartnerStatus, Replica
from crdt_sync.replica.holds import Hold
from crdt_sync.replica.opening import MEMBER_FILE
from crdt_sync.runtime import Address
from crdt_sync.storage.file_failures import failed

RELAY_FILE = "relay.toml"
ASK_AGAIN = "Your edits stay safe here. If it may take more by now: crdt-sync sync --insist"
WAYS_FILE = "transport.json"  # which transport passes to which address
TOKEN_FILE = "token"
FORMER_FILE = "token.before"  # the token that another address took the place of, and the address it is for
_TOKEN_LENGTH_MIN = 16  # as a relay asks; a proof of a shorter one could be tried out


def load(store: Path) -> Address | None:
    """The relay that was stored, None if none was. Raises `InvalidSettings`, `StoreError`."""
    path = store / RELAY_FILE
    text = _read(path)
    if text is None:
        return None
    try:
        kept = tomllib.loads(text)
        url, authorities, interval = kept["url"], kept.get("ca"), kept.get("ping_interval")
        adopt, transport = kept.get("new_relay", False), kept.get("transport", "auto")
    except (ValueError, KeyError, RecursionError) as error:
        raise InvalidSettings(
            f"{path} cannot be understood: {error}", "Write it anew with 'crdt-sync relay URL'."
        ) from None
    known = isinstance(url, str) and isinstance(authorities, str | None) and isinstance(adopt, bool)
    if not known or not isinstance(interval, int | float | None) or not isinstance(transport, str):
        raise InvalidSettings(f"{path} cannot be understood", "Write it anew with 'crdt-sync relay URL'.")
    secret = token(store) or _set_aside_for(store, url)
    return Address(
        url,
        secret,
        Path(authorities) if authorities else None,
        adopt=adopt,
        ping_interval_s=interval,
        transport=transport,
        memory=store / WAYS_FILE,
    )


def token(store: Path) -> str:
    """The space's token, empty where none is kept. Raises `InvalidSettings`, `StoreError`."""
    return (_read(store / TOKEN_FILE) or "").strip()


def space_of_member(store: Path) -> str:
    """What tells the devices of a space with identities from others that are near: the id of the space, which proves
    nothing. Empty where this device is in none. Raises `StoreError`.
    """
    if not (store / MEMBER_FILE).exists():
        return ""
    from crdt_sync.membership.folder import load  # noqa: PLC0415 - most devices are in none

    member = load(store)
    return member.space.hex() if member is not None else ""


def token_for(store: Path, url: str) -> str:
    """The token that is kept for the relay at this very address, empty where none is.

    Raises `InvalidSettings`, `StoreError`.
    """
    kept = load(store)
    return kept.token if kept is not None and kept.url == url else _set_aside_for(store, url)


def save_token(store: Path, token: str) -> None:
    """Keep the space's token, for its owner only. Raises `UsageError`, `StoreError`."""
    if len(token) < _TOKEN_LENGTH_MIN:
        raise UsageError(
            f"the token has {len(token)} characters, fewer than {_TOKEN_LENGTH_MIN}",
            "Make one that nobody guesses: crdt-sync token --new",
        )
    if len(token) > TOKEN_LENGTH_MAX or not token.isascii() or not token.isprintable():
        raise UsageError("the token is too long, or not printable ASCII", "Make one with: crdt-sync token --new")
    write(store / TOKEN_FILE, f"{token}\n")


def new_token() -> str:
    """A token that nobody guesses: 43 characters."""
    return secrets.token_urlsafe(32)


def save(store: Path, address: Address) -> None:
    """Store the relay. Raises `UsageError` for an address that cannot be kept, `StoreError`.

    Whichever write fails, no token stands beside an address that it was not kept for: between two addresses there is
    none, and the former one still finds its own, which is set aside.
    """
    lines = [f"url = {_quoted(address.url)}"]
    if address.authorities is not None:
        lines.append(f"ca = {_quoted(str(address.authorities.absolute()))}")
    if address.ping_interval_s is not None:
        lines.append(f"ping_interval = {float(address.ping_interval_s)}")
    if address.transport != "auto":
        lines.append(f"transport = {_quoted(address.transport)}")
    if address.adopt:  # it says no more than that the relay at this address is known, as after a first session
        lines.append("new_relay = true")
    try:
        kept = load(store)
    except UsageError:
        kept = None
    if kept is None or kept.url != address.url:
        _set_aside(store, kept)
        write(store / TOKEN_FILE, "")
    write(store / RELAY_FILE, "\n".join(lines) + "\n")
    write(store / TOKEN_FILE, f"{address.token}\n" if address.token else "")
    if address.token or _set_aside_for(store, address.url):
        with suppress(OSError):
            (store / FORMER_FILE).unlink()


def former(store: Path) -> tuple[str, str] | None:
    """The address and the token of the relay before, where one without a token took its place, or is about to."""
    url, _, token = (_read(store / FORMER_FILE) or "").partition("\n")
    return (url, token.strip()) if token.strip() else None


def _set_aside_for(store: Path, url: str) -> str:
    """The token that was set aside for this very address, empty where none was."""
    set_aside = former(store)
    return set_aside[1] if set_aside is not None and set_aside[0] == url else ""


def _set_aside(store: Path, kept: Address | None) -> None:
    """Set the token of the former address aside: who mistyped an address gets it back with the right one."""
    url, secret = (kept.url, kept.token) if kept else ("", token(store))  # no url: devices call each other with it
    if secret:
        write(store / FORMER_FILE, f"{url}\n{secret}\n")


def open_to_others(store: Path) -> bool:
    """Whether other users of this machine can read the token."""
    with suppress(OSError):
        return bool(stat.S_IMODE((store / TOKEN_FILE).stat().st_mode) & 0o077)
    return False


def chosen(
    store: Path,
    url: str | None,
    way: Way = AS_KEPT,
    *,
    keep_token: bool = False,
    required: bool = True,
) -> Address | None:
    """The relay that options and the stored one come to. What is stored, the token above all, is for that relay only,
    unless `keep_token` says that the token goes to the new one, too.

    Raises `UsageError` when a relay is `required` and none is known.
    """
    try:
        kept = load(store)
    except UsageError:
        if url is None:
            raise
        kept = None  # one that cannot be used is no obstacle to naming another
    if url is None:
        if kept is None:
            if required:
                raise UsageError(
                    "no relay is known",
                    "Name one with 'crdt-sync relay ws://HOST:8765 --token TOKEN', or open an invite, which names it: "
                    "'crdt-sync join LINK'.",
                )
            return None
        url = kept.url
    token = way.token
    if kept is not None and kept.url == url:
        if token is None:
            token = kept.token or (_kept_token(store, url, keep_token) if keep_token else "")
        return Address(
            url,
            token,
            way.authorities or kept.authorities,
            adopt=way.new_relay or kept.adopt,
            ping_interval_s=kept.ping_interval_s if way.ping_interval is None else way.ping_interval,
            transport=way.transport or kept.transport,
            memory=store / WAYS_FILE,
        )
    if token is None:
        token = _kept_token(store, url, keep_token)
    return Address(
        url,
        token,
        way.authorities,
        adopt=way.new_relay,
        ping_interval_s=way.ping_interval,
        transport=way.transport or "auto",
        memory=store / WAYS_FILE,
    )


def _kept_token(store: Path, url: str, keep_token: bool) -> str:
    """The token for a relay that has none yet: what was kept for this very address, or is to be taken along.

    Raises `UsageError` where there is none to take along.
    """
    if secret := _set_aside_for(store, url):
        return secret
    if not keep_token:
        return ""
    set_aside = former(store)
    found = token(store) or (set_aside[1] if set_aside else "")
    if not found:
        raise UsageError("no token is kept here", "Give it with --token or --token-file.")
    return found


def put_off(partner: PartnerStatus, hold: Hold) -> str:
    """Until when a partner takes nothing more, and what to do."""
    what = "takes nothing more" if hold.all else "takes nothing of what it refused"
    return f"{called(partner)} {what} before {local_time(hold.until)}: {hold.reason}"


def told_hold(hold: Hold | None) -> dict[str, object] | None:
    """The same for programs."""
    return None if hold is None else {"until": utc_time(hold.until), "reason": hold.reason, "all": hold.all}


def called(partner: PartnerStatus) -> str:
    """A partner as people know it: by name where it told one, and by its address."""
    return f"{partner.name} ({partner.url})" if partner.name else partner.url


def _quoted(text: str) -> str:
    if not text.isprintable():
        raise UsageError(f"{text[:80]!r} holds characters that cannot be kept", "Use an address in plain characters.")
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _read(path: Path) -> str | None:
    try:
        return path.read_text("utf-8")
    except FileNotFoundError:
        return None
    except UnicodeDecodeError:
        raise InvalidSettings(f"{path} is not text", "Write it anew with 'crdt-sync relay URL'.") from None
    except OSError as error:
        raise failed(error, f"{path} cannot be read") from error


def write(path: Path, text: str) -> None:
    """Replace a file as a whole; nobody but its owner can read it at any time. Raises `StoreError`."""
    try:
        with replaced(path) as file:
            file.write(text.encode("utf-8"))
    except OSError as error:
        raise failed(error, f"{path} cannot be written") from error


def standing(replica: Replica, url: str) -> PartnerStatus | None:
    """How the partner at `url` stands to us; of several that were met there, the last."""
    known = [partner for partner in replica.partners() if partner.url == url]
    return max(known, key=lambda partner: partner.last_seen) if known else None
