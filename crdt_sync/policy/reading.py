"""A policy out of its text, TOML: all that is wrong with it is told at once."""

import re
import tomllib
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from crdt_sync.errors import InvalidPolicy
from crdt_sync.limits import KEY_PARTS_MAX, POLICY_BYTES_MAX, POLICY_USERS_MAX, ROLES_MAX
from crdt_sync.nearest import suggestion
from crdt_sync.policy.model import Policy
from crdt_sync.policy.places import QUOTED, Places
from crdt_sync.policy.problems import Problem, Problems, refuse
from crdt_sync.policy.reading_grants import read_role
from crdt_sync.policy.reading_logins import read_logins, users_of
from crdt_sync.policy.reading_users import read_user
from crdt_sync.policy.settings import check_settings, named, table
from crdt_sync.policy.silence import UNLIMITED, read_silence
from crdt_sync.policy.watched import read_watched

T = TypeVar("T")

_SETTINGS = ("role", "user", "devices", "audit", "login")


def parse_policy(text: str, source: str, *, said: bool = False) -> Policy:
    """Read a policy: the file of an operator, or what a space `said`, to which the relay has added who logged in.

    Raises `InvalidPolicy` that names `source` and all problems.
    """
    data = _toml(text, source)
    problems = Problems(Places(text))
    check_settings(problems, (), data, _SETTINGS, "a policy")
    silence = read_silence(problems, ("devices",), data.get("devices", {}), UNLIMITED)
    watched = read_watched(problems, ("audit",), data.get("audit", {}))
    roles = _tables(problems, "role", data, ROLES_MAX, lambda name, given: read_role(problems, name, given, silence))
    if not roles and not problems.found:
        problems.add((), "it has no role", "Begin with [[role.NAME.grant]].")
    users = _tables(problems, "user", data, POLICY_USERS_MAX, lambda name, given: read_user(problems, name, given))
    for user in users.values():
        if user.role and user.role not in roles:
            hint = suggestion(user.role, roles, "roles")
            problems.add(("user", user.id, "role"), f"user {user.id!r}: there is no role {user.role!r}", hint)
    logins = read_logins(problems, data["login"], roles, text, said=said) if "login" in data else None
    refuse(problems.found, source)
    if logins is not None:
        users = {**users_of(logins), **users}
    if len(users) > POLICY_USERS_MAX:
        message = f"with those who have logged in there are {len(users):,} users, and there may be {POLICY_USERS_MAX:,}"
        refuse([Problem(0, message, "Map less, or set 'days' under [login].")], source)
    return Policy(roles, users, silence, watched, logins)


_UNQUOTED = re.compile(QUOTED, re.DOTALL)
_LETTERS = re.compile(r"[^\x00-\x7f]")  # outside of quotes TOML has none
_PARTS = re.compile(rf"(?<![A-Za-z0-9_'-])(?:(?:[A-Za-z0-9_-]++|'')[ \t]*+\.[ \t]*+){{{KEY_PARTS_MAX}}}")


def _toml(text: str, source: str) -> dict[str, Any]:
    size = len(text.encode("utf-8", "surrogatepass"))
    if size > POLICY_BYTES_MAX:
        refuse([Problem(0, f"it has {size:,} bytes, and may have {POLICY_BYTES_MAX:,}", "Shorten it.")], source)
    if _PARTS.search(_UNQUOTED.sub("''", text)):  # the library takes minutes for a name of a hundred thousand parts
        message = f"a name in it has more than {KEY_PARTS_MAX} parts, joined by dots"
        refuse([Problem(0, message, "A policy has four levels.")], source)
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        place = re.search(r"at line (\d+)", str(error))
        line = int(place[1]) if place else text.count("\n") + 1
        hint = "Correct that place."
        written = [*text.splitlines(), ""][line - 1] if line <= text.count("\n") + 1 else ""
        if _LETTERS.search(_UNQUOTED.sub("''", written).partition("#")[0]):
            hint = 'A name with other letters than a to z stands in quotes: [user."sören"].'
        raise InvalidPolicy(
            f"{source}: not valid TOML: {error}",
            f"{hint} Nothing was changed.",
            [Problem(line, str(error), hint)._asdict()],
        ) from None
    except RecursionError:
        refuse([Problem(0, "it is nested too deeply", "A policy has four levels.")], source)
    except ValueError:
        refuse([Problem(0, "a number in it is far too long", "Shorten it.")], source)
    raise AssertionError("refuse raises where it is given a problem")


def _tables(
    problems: Problems, name: str, data: Mapping[str, Any], most: int, read: Callable[[str, Mapping[str, Any]], T]
) -> dict[str, T]:
    given = table(problems, (name,), data.get(name, {}))
    if len(given) > most:
        problems.add((name,), f"there are {len(given):,} of {name!r}, and there may be {most:,}", "Leave some out.")
        return {}
    found = {}
    for each, settings in given.items():
        if named(problems, (name, each), each, f"a {name}"):
            found[each] = read(each, table(problems, (name, each), settings))
    return found
