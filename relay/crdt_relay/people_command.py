"""`crdt-relay invite`, `device`, `user` and `key`: who belongs to the space, and what proves it."""

import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

from crdt_relay import people_requests
from crdt_relay.administration import UNSENT
from crdt_relay.options import json_option, space_options
from crdt_relay.pictures import picture
from crdt_relay.settings import Settings
from crdt_sync.cli.commands import Commands
from crdt_sync.cli.options import PATH
from crdt_sync.cli.output import Output, table
from crdt_sync.cli.values import local_time
from crdt_sync.errors import UsageError

_DROPPED = {
    False: "Edits that it had not sent stay on it. To look at them: crdt-relay device review {}",
    True: "Edits that it had not sent are destroyed with the rest. To have them handed in before: crdt-relay device "
    "review {}",
}
_OLDER = (
    "Each device of the space needs a release that knows it: an older one refuses the list of who is out from now on, "
    "and later ones. To take it back: crdt-relay device revoke {} --unsent drop"
)
_SHOWN = 12  # characters of a device's id in tables: 'device show' takes fewer


class _Invites(Commands):
    """A group in which whatever is no command is the name of a user."""

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """See `Commands`."""
        if args and args[0] not in self.list_commands(ctx) and not args[0].startswith("-"):
            args = ["new", *args]
        return super().resolve_command(ctx, args)


@click.group("invite", cls=_Invites, no_args_is_help=True)
def invite() -> None:
    """Invite a device of a user: 'crdt-relay invite USER'; list invites, or withdraw one."""


@invite.command("new")
@click.argument("user", help="As the policy names the user.")
@click.option("--address", metavar="URL", help="Where devices reach this relay, ws:// or wss://.")
@click.option("--days", type=click.IntRange(1, 90), default=3, metavar="N", help="For how long it can be opened.")
@click.option("--pin", is_flag=True, help="Let it name the certificate, also where an authority vouches for that.")
@space_options
@json_option
def invite_new(
    user: str,
    address: str | None,
    days: int,
    pin: bool,
    settings: Settings,
    as_json: bool,
) -> None:
    """Make a link with which one device of the user joins, once. It is as secret as a password."""
    where, certificate = people_requests.place(settings, address, pin=pin)
    made = people_requests.done(settings, "invite", user=user, address=where, certificate=certificate.hex(), days=days)
    drawn = None if as_json else picture(made["link"])
    lines = [] if drawn is None else [drawn, ""]
    lines += [
        f"For one device of {user}, until {local_time(made['expires'])}. On it:",
        "",
        f"crdt-sync join '{made['link']}'",
    ]
    output = Output(as_json=as_json)
    output.result(dict(made), "\n".join(lines))
    if drawn is None:
        output.note("To see it as a picture for cameras too: pip install 'crdt-sync[qr]'")


@invite.command("login")
@click.option("--address", metavar="URL", help="Where devices reach this relay, ws:// or wss://.")
@click.option("--pin", is_flag=True, help="Let it name the certificate, also where an authority vouches for that.")
@space_options
@json_option
def invite_login(address: str | None, pin: bool, settings: Settings, as_json: bool) -> None:
    """Show the link with which everybody joins who logs in with the company's login system. It is no secret."""
    if settings.oidc_issuer is None:
        raise UsageError("no login system is named", "Set oidc_issuer, oidc_audience and oidc_keys in the settings.")
    where, certificate = people_requests.place(settings, address, pin=pin)
    made = people_requests.done(settings, "login_link", address=where, certificate=certificate.hex())
    command = ["crdt-sync", "join", made["link"], "--login", settings.oidc_issuer]
    if settings.oidc_audience != "crdt-sync":
        command += ["--client-id", settings.oidc_audience or ""]
    if settings.oidc_scope != "openid email":
        command += ["--scope", settings.oidc_scope]
    text = (
        f"{shlex.join(command)}\n\nWith an id token that was got elsewhere, --id-token FILE takes the place of --login."
    )
    Output(as_json=as_json).result({**made, "login": settings.oidc_issuer, "command": shlex.join(command)}, text)


@invite.command("list")
@space_options
@json_option
def invite_list(settings: Settings, as_json: bool) -> None:
    """List the invites that were made and not withdrawn."""
    found = people_requests.done(settings, "invites")["invites"]
    rows = [
        (each["invite"], each["user"], each["standing"], local_time(each["expires"]), (each["device"] or "")[:_SHOWN])
        for each in found
    ]
    _listed(as_json, found, table(("Invite", "User", "", "Until", "Device"), rows), "No invites.")


@invite.command("withdraw")
@click.argument("which", metavar="INVITE", help="The beginning of its id, as 'invite list' has it.")
@space_options
@json_option
def invite_withdraw(which: str, settings: Settings, as_json: bool) -> None:
    """Withdraw an invite: nobody can open it any more. A device that did stays."""
    gone = people_requests.done(settings, "withdraw", invite=which)
    text = f"The invite of {gone['user']} is withdrawn."
    if gone["device"]:
        text += f" A device has opened it, which stays: crdt-relay device revoke {gone['device'][:_SHOWN]}"
    Output(as_json=as_json).result(dict(gone), text)


@click.group("device", cls=Commands, no_args_is_help=True)
def device() -> None:
    """The devices that joined, and shutting one out."""


@device.command("list")
@space_options
@json_option
def device_list(settings: Settings, as_json: bool) -> None:
    """List the devices that joined, with their users."""
    found = people_requests.done(settings, "devices")["devices"]
    rows = [
        (each["device"][:_SHOWN], each["name"], each["user"], _standing(each), local_time(each["joined"]), _seen(each))
        for each in found
    ]
    _listed(as_json, found, table(("Device", "Name", "User", "", "Joined", "Last here"), rows), "No device has joined.")


@device.command("show")
@click.argument("which", metavar="DEVICE", help="Its name, or the beginning of its id.")
@space_options
@json_option
def device_show(which: str, settings: Settings, as_json: bool) -> None:
    """Show one device."""
    found = people_requests.done(settings, "device", device=which)
    _tell_device(as_json, found)


@device.command("revoke")
@click.argument("which", metavar="DEVICE", help="Its name, or the beginning of its id.")
@click.option("--wipe", is_flag=True, help="It destroys what it holds, at its next contact with anybody of the space.")
@click.option(
    "--unsent",
    type=click.Choice(UNSENT),
    help="What becomes of edits that it had not sent: it hands them in for 'crdt-relay review', or nobody takes them, "
    "as by default.",
)
@space_options
@json_option
def device_revoke(which: str, wipe: bool, unsent: str | None, settings: Settings, as_json: bool) -> None:
    """Shut a device out, at once and for good: its sessions end, and nobody of the space talks to it any more."""
    found = people_requests.done(settings, "revoke", device=which, wipe=wipe, unsent=unsent)
    _tell_device(as_json, found)
    if unsent == "review":
        _tell_older(as_json, found)
    elif not (found["review"] or found["wiped"]):
        Output(as_json=as_json).note(_DROPPED[found["wipe"]].format(found["device"][:_SHOWN]))


@device.command("review")
@click.argument("which", metavar="DEVICE", help="Its name, or the beginning of its id.")
@space_options
@json_option
def device_review(which: str, settings: Settings, as_json: bool) -> None:
    """Have a device that is shut out hand in, at its next contact, what it had not sent: see 'crdt-relay review'."""
    found = people_requests.done(settings, "unsent", device=which)
    _tell_device(as_json, found)
    _tell_older(as_json, found)


@click.group("user", cls=Commands, no_args_is_help=True)
def user() -> None:
    """Shut a user out with all devices, beside what the policy says."""


@user.command("disable")
@click.argument("name", metavar="USER", help="As the policy names the user.")
@space_options
@json_option
def user_disable(name: str, settings: Settings, as_json: bool) -> None:
    """Shut a user out, at once; the policy stays as it is. 'user enable' lets them in again."""
    found = people_requests.done(settings, "user", user=name, disabled=True)
    many = len(found["devices"])
    devices = "1 device" if many == 1 else f"{many} devices"
    Output(as_json=as_json).result(dict(found), f"{name} is out, with {devices}.")


@user.command("enable")
@click.argument("name", metavar="USER")
@space_options
@json_option
def user_enable(name: str, settings: Settings, as_json: bool) -> None:
    """Let a user in again who was shut out with 'user disable'."""
    found = people_requests.done(settings, "user", user=name, disabled=False)
    output = Output(as_json=as_json)
    output.result(dict(found), f"{name} is not shut out by 'user disable' any more.")
    if found["policy_disables"]:
        output.note(f"The policy lets {name} do nothing all the same: it disables that user, or names none.", "yellow")


@click.group("key", cls=Commands, no_args_is_help=True)
def key() -> None:
    """The key that the space signs with."""


@key.command("show")
@space_options
@json_option
def key_show(settings: Settings, as_json: bool) -> None:
    """Show which keys hold."""
    _tell_keys(as_json, people_requests.done(settings, "keys"), "")


@key.command("rotate")
@click.option(
    "--to", type=PATH, metavar="FILE", help="Write the new key there; else it takes the place of the old one."
)
@space_options
@json_option
def key_rotate(to: Path | None, settings: Settings, as_json: bool) -> None:
    """Make a new key, which signs from now on. What the old one signed holds until 'key retire'."""
    found = people_requests.done(settings, "rotate", to=str(to.absolute()) if to is not None else "")
    text = "A new key signs from now on. Once the devices have synced: crdt-relay key retire"
    if to is not None:
        text += f"\nStart the relay with it from now on: --key-file {to}"
    _tell_keys(as_json, found, text)


@key.command("retire")
@click.argument("which", metavar="[KEY]", default="", help="The beginning of its name; else all but the newest.")
@space_options
@json_option
def key_retire(which: str, settings: Settings, as_json: bool) -> None:
    """Take the old key out of use: nothing that it signed is taken from now on. Devices renew by their own keys."""
    found = people_requests.done(settings, "retire", key=which)
    _tell_keys(as_json, found, f"Retired: {', '.join(found['retired'])}.")


def _listed(as_json: bool, found: list[Mapping[str, Any]], shown: object, nothing: str) -> None:
    output = Output(as_json=as_json)
    if as_json:
        for each in found:
            output.emit(dict(each))
    elif found:
        output.show(shown)  # type: ignore[arg-type]  # what `table` returns
    else:
        output.text(nothing)


def _tell_older(as_json: bool, found: Mapping[str, Any]) -> None:
    """What becomes of devices of a release that knows no review."""
    Output(as_json=as_json).note(_OLDER.format(found["device"][:_SHOWN]))


def _tell_device(as_json: bool, found: Mapping[str, Any]) -> None:
    lines = [f"{found['name'] or 'a device'} of {found['user']}: {_standing(found)}", f"id {found['device']}"]
    lines.append(f"joined {local_time(found['joined'])}, last here {_seen(found)}")
    if found["handed_in"] is not None:
        lines.append(f"handed in {local_time(found['handed_in'])} what it had not sent: crdt-relay review list")
    elif found["review"] and found["wiped"] is None:
        lines.append("hands in what it had not sent at its next contact: crdt-relay review list")
    Output(as_json=as_json).result(dict(found), "\n".join(lines))


def _standing(found: Mapping[str, Any]) -> str:
    if found["wiped"] is not None:
        return f"revoked, wiped {local_time(found['wiped'])}"
    if found["revoked"] is not None:
        return f"revoked {local_time(found['revoked'])}" + (", to be wiped" if found["wipe"] else "")
    return f"out: {found['out']}" if found["out"] else "in"


def _seen(found: Mapping[str, Any]) -> str:
    return "not since the relay was started" if found["seen"] is None else local_time(found["seen"])


def _tell_keys(as_json: bool, found: Mapping[str, Any], text: str) -> None:
    *older, newest = found["keys"]
    lines = [text] if text else []
    lines.append(f"Signs: {newest}, in {found['key_file']}.")
    if older:
        lines.append(f"Hold too, until they are retired: {', '.join(older)}.")
    Output(as_json=as_json).result(dict(found), "\n".join(lines))
