"""`crdt-relay policy`: what a policy file says, what it would change, and putting it in force."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import click

from crdt_relay import people_requests, policy_report
from crdt_relay.options import json_option, space_options
from crdt_relay.settings import Settings
from crdt_sync.cli.commands import Commands
from crdt_sync.cli.options import PATH
from crdt_sync.cli.output import Output
from crdt_sync.errors import InvalidPolicy
from crdt_sync.limits import POLICY_BYTES_MAX
from crdt_sync.policy.checking import check
from crdt_sync.policy.differences import difference
from crdt_sync.policy.model import Policy
from crdt_sync.policy.problems import refuse
from crdt_sync.policy.reading import parse_policy
from crdt_sync.policy.remarks import remarks
from crdt_sync.records import Schema, load_schema

_schemas = click.option(
    "--schema",
    "schemas",
    type=PATH,
    multiple=True,
    metavar="FILE",
    help="Schema of a collection, TOML, to check names and values against; once for each collection.",
)


@click.group("policy", cls=Commands, no_args_is_help=True)
def policy() -> None:
    """Who may see and do what: look at a policy, or put one in force."""


@policy.command("check")
@click.argument("file", type=PATH, metavar="FILE", help="The policy, TOML.")
@_schemas
@json_option
def check_policy(file: Path, schemas: Sequence[Path], as_json: bool) -> None:
    """Tell all that is wrong with a policy, each with its line, or who may do what by it."""
    read = _read(file)
    known = _known(schemas)
    if known:
        refuse(check(read, known), str(file))
    found = remarks(read)
    output = Output(as_json=as_json)
    for each in found:
        output.warning({"remark": each.message, "line": each.line, "hint": each.hint}, each.told)
    if not known:
        output.note("Names of fields were not checked: give the schemas with --schema FILE.")
    output.result(policy_report.summary(read), policy_report.summary_text(read))


@policy.command("diff")
@click.argument("old", type=PATH, metavar="OLD", help="The policy in force.")
@click.argument("new", type=PATH, metavar="NEW", help="The one that is to take its place.")
@json_option
def compare(old: Path, new: Path, as_json: bool) -> None:
    """Tell what would change, and for whom."""
    found = difference(_read(old), _read(new))
    Output(as_json=as_json).result(policy_report.changes(found), policy_report.changes_text(found))


@policy.command("apply")
@click.argument("file", type=PATH, metavar="FILE", help="The policy, TOML.")
@space_options
@json_option
def apply_policy(file: Path, settings: Settings, as_json: bool) -> None:
    """Put a policy in force, at once and on all devices as they hear of it. The first one gives the space its key: from
    then on each device proves who it is, and a shared token opens nothing.
    """
    text = _text(file)
    parse_policy(text, str(file))
    found = people_requests.done(settings, "apply", makes=True, text=text, source=str(file))
    version = f"Version {found['policy']} of the policy is in force."
    lines = [found["told"], version if found["applied"] else "This policy is in force already."]
    if found["key_file"]:
        lines.append(
            f"The space has a key now, in {found['key_file']}. Keep a copy apart: without it nobody can be let in.\n"
            "Devices need an invite each from now on: crdt-relay invite USER"
        )
    output = Output(as_json=as_json)
    output.result(dict(found), "\n".join(lines))


def _read(path: Path) -> Policy:
    return parse_policy(_text(path), str(path))


def _text(path: Path) -> str:
    try:
        with path.open("rb") as stream:
            raw = stream.read(POLICY_BYTES_MAX + 1)
        return raw.decode("utf-8")
    except OSError as error:
        message = f"{path}: cannot be read: {error.strerror or error}"
        raise InvalidPolicy(message, "Check the path and its permissions.", ()) from None
    except UnicodeDecodeError:
        if len(raw) > POLICY_BYTES_MAX:  # cut, perhaps within a letter
            return raw.decode("utf-8", "replace")
        raise InvalidPolicy(f"{path}: is not UTF-8 text", "Save the file as UTF-8.", ()) from None


def _known(paths: Sequence[Path]) -> Mapping[str, Schema]:
    return {schema.collection: schema for schema in map(load_schema, paths)}
