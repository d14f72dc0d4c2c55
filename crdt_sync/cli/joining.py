"""Commands of a device in a space with identities: `join`, `whoami`."""

import asyncio
import re
from dataclasses import replace
from pathlib import Path

import click

from crdt_sync.cli import partners
from crdt_sync.cli.invocation import Invocation
from crdt_sync.cli.options import PATH
from crdt_sync.cli.output import Output
from crdt_sync.cli.policy_remarks import tell_no_role
from crdt_sync.cli.setup import signature
from crdt_sync.cli.syncing import tell_clock
from crdt_sync.cli.values import local_time, many, utc_time
from crdt_sync.errors import IdentityRefused, StoreMissing, UsageError
from crdt_sync.identity.age import as_of
from crdt_sync.identity.device_grant import Code
from crdt_sync.identity.invites import NO_SECRET, Link, read_link
from crdt_sync.key_files import open_to_others
from crdt_sync.limits import ID_TOKEN_LENGTH_MAX
from crdt_sync.membership import folder
from crdt_sync.membership.member import Membership
from crdt_sync.replica import Replica
from crdt_sync.runtime import Address
from crdt_sync.runtime.client import conversed
from crdt_sync.runtime.conversation import Conversation
from crdt_sync.runtime.logging_in import log_in


@click.command("join")
@click.argument("link", help="As 'crdt-relay invite' made it: CRDT-SYNC://JOIN#...")
@click.option("--name", metavar="NAME", help="What this device is called, where it has no store yet.")
@click.option(
    "--id-token",
    type=PATH,
    metavar="FILE",
    help="The id token of a login, for a link that 'crdt-relay invite login' made.",
)
@click.option(
    "--login",
    "issuer",
    metavar="URL",
    help="Log in there, by a code that is entered on any device, for such a link.",
)
@click.option("--client-id", default="crdt-sync", metavar="ID", help="As what the login system knows crdt-sync.")
@click.option("--scope", default="openid email", metavar="NAMES", help="What the login system is asked to tell.")
@click.pass_obj
def join(
    call: Invocation,
    link: str,
    name: str | None,
    id_token: Path | None,
    issuer: str | None,
    client_id: str,
    scope: str,
) -> None:
    """Join the space of an invite, as the user whom it is for, or who has logged in. A store is made where there is
    none yet.
    """
    invite = read_link(link)
    login = _login(invite, id_token, issuer)
    with _store(call, name) as replica:
        replica.alone("'crdt-sync join'")
        if issuer is not None:
            nonce = folder.own_key(call.store).public.device.hex()
            login = log_in(issuer, client_id, scope, nonce, lambda code: _show(call.output, code))
        before = replica.membership
        replica.join_as(folder.joining(call.store, invite, login))
        address = Address(invite.address, memory=call.store / partners.WAYS_FILE)
        try:
            asyncio.run(_talk(replica, address))
        except BaseException:
            replica.join_as(before)
            raise
        # A token that is kept is shown to nobody any more, but protects bundles.
        partners.save(call.store, replace(address, token=partners.token(call.store)))
        signed = replica.sign_unsent()
        member, offset = replica.membership, replica.clock.offset
        assert member is not None
        data = _data(member, call.store)
        named = replica.name
    call.output.result(data, f"This device, {named!r}, is {data['user']}'s now, in the space of {invite.address}.")
    if signed:
        were = "that was edited here before is" if signed == 1 else "that were edited here before are"
        call.output.note(f"{many(signed)} {were} signed by {data['user']} now.")
    tell_clock(call.output, offset)
    tell_no_role(call.output, member.in_force(), member.user)
    call.output.note("Next: crdt-sync sync. No token is needed: this device proves itself by a key of its own.")


@click.command("whoami")
@click.pass_obj
def whoami(call: Invocation) -> None:
    """Show who this device is in its space, and how old what it knows of the space is."""
    member = folder.load(call.store)
    if member is None:
        call.must_exist()
        raise UsageError(
            "this device is in no space with identities",
            "Ask who runs the space for an invite, and open it with 'crdt-sync join LINK'.",
        )
    data = _data(member, call.store)
    lines = [f"{data['user'] or 'nobody yet'}" + (f", {data['role']}" if data["role"] else "")]
    lines.append(f"device {data['device']}, key in {data['key_file']}")
    lines.append(f"space {data['space']}, at {data['relay']}")
    if member.facts.token:
        lines.append(f"token until {local_time(data['token_until_us'])}, renewed by itself")
    lines.append(f"policy version {data['policy']}, revocations {data['as_of']}")
    if data["out"]:
        lines.append(f"Out: {data['out']}")
    call.output.result(data, "\n".join(lines))
    tell_no_role(call.output, member.in_force(), member.user)
    path = call.store / folder.KEY_FILE
    if open_to_others(path):
        call.output.note(f"Other users of this machine may read {path}: chmod 600 it.", "yellow")


def _show(output: Output, code: Code) -> None:
    """Tell where to log in."""
    data = {
        "login_address": code.address,
        "login_code": code.user_code,
        "login_address_with_code": code.complete,
        "expires_s": code.expires,
    }
    text = f"To log in, open {code.address} on any device, and enter: {code.user_code}"
    if code.complete:
        text += f"\nOr open {code.complete}"
    output.result(data, f"{text}\nWaiting for {int(code.expires // 60)} minutes at most. Ctrl-C ends it.")


def _login(invite: Link, id_token: Path | None, issuer: str | None = None) -> str:
    """The id token that is to be shown; nothing where there is none yet. Raises `UsageError` where one is missing, or
    for a link that needs none.
    """
    if invite.secret != NO_SECRET:
        if id_token is not None or issuer is not None:
            raise UsageError("this invite lets its device in by itself", "Leave out --id-token and --login.")
        return ""
    if id_token is not None and issuer is not None:
        raise UsageError("an id token is given, and one is to be got", "Leave out --id-token, or --login.")
    if issuer is not None:
        return ""
    if id_token is None:
        raise UsageError(
            "this link lets nobody in by itself, but who has logged in",
            "Add --login URL, as 'crdt-relay invite login' shows it, or --id-token FILE.",
        )
    try:
        with id_token.open(encoding="ascii", errors="replace") as file:
            text = file.read(ID_TOKEN_LENGTH_MAX + 2).strip()
    except OSError as error:
        raise UsageError(f"{id_token} cannot be read: {error.strerror}", "Check its name.") from None
    if re.fullmatch(r"[\w-]+\.[\w-]+\.[\w-]*", text, re.ASCII) is None or len(text) > ID_TOKEN_LENGTH_MAX:
        raise UsageError(
            f"what is in {id_token} is no id token",
            f"It has three parts with dots between, and at most {ID_TOKEN_LENGTH_MAX:,} characters.",
        )
    return text


async def _talk(replica: Replica, address: Address) -> None:
    await conversed(lambda: Conversation(replica, address), Conversation.let_in)


def _store(call: Invocation, name: str | None) -> Replica:
    try:
        opened = call.open()
    except StoreMissing:
        return Replica.create(call.store, name or signature(), (), share=False)
    if name is not None and name != opened.name:
        opened.close()
        raise UsageError(
            f"the store in {call.store} is called {opened.name!r} already",
            "Leave out --name, or take another store: --store DIR",
        )
    return opened


def _data(member: Membership, store: Path) -> dict[str, object]:
    claims, policy = member.claims(), member.in_force()
    user = policy.policy.users.get(claims.user) if policy is not None and claims is not None else None
    out = ""
    try:
        member.check_out()
    except IdentityRefused as error:
        out = error.message
    return {
        "user": claims.user if claims is not None else "",
        "role": user.role if user is not None else "",
        "device": member.device.hex(),
        "key_file": str(store / folder.KEY_FILE),
        "space": member.space.hex(),
        "relay": member.facts.address,
        "token_until": utc_time(claims.expires) if claims is not None else None,
        "token_until_us": claims.expires if claims is not None else None,
        "policy": member.statements.versions.policy,
        "as_of": as_of(member.statements.age(member.now())),
        "out": out,
    }
