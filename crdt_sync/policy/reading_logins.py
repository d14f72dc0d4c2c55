"""What a policy gives to who logs in, out of its text."""

import tomllib
from collections.abc import Mapping
from datetime import UTC, datetime

from crdt_sync.limits import LOGIN_DAYS_MAX, LOGIN_MAPPED_MAX, LOGIN_VALUE_LENGTH_MAX, LOGIN_VALUES_MAX
from crdt_sync.nearest import suggestion
from crdt_sync.policy.login_users import BEGINNING
from crdt_sync.policy.logins import Given, LoggedIn, Logins
from crdt_sync.policy.model import Role, User
from crdt_sync.policy.problems import Problems
from crdt_sync.policy.reading_users import read_attributes
from crdt_sync.policy.settings import Path, check_settings, named, table, text, texts

_SETTINGS = ("claim", "days", "map")
_SECOND_US = 1_000_000


def read_logins(problems: Problems, value: object, roles: Mapping[str, Role], whole: str, *, said: bool) -> Logins:
    """What `[login]` of the text `whole` says; what is wrong with it goes to `problems`. `said`: the relay said this
    text, so that who has logged in stands in it.
    """
    path: Path = ("login",)
    given = table(problems, path, value)
    if "users" in given and not said:
        message = "who has logged in is kept by the relay, and not by this file"
        problems.add((*path, "users"), message, "Take [login.users] out; the relay keeps what it knows.")
    elif not said and not problems.found and not _may_go_on(whole):
        problems.add(path, "[login] must be a table of its own", "Write [login], and [login.map.VALUE] for each value.")
    check_settings(problems, path, {each: 0 for each in given if each != "users"}, _SETTINGS, "login")
    claim = text(problems, (*path, "claim"), given.get("claim", "")) or ""
    if not claim and isinstance(given.get("claim", ""), str):
        problems.add((*path, "claim"), "[login] names no claim", 'Say which one counts: claim = "groups".')
    days = given.get("days", 0)
    if type(days) is not int or not 0 <= days <= LOGIN_DAYS_MAX:
        hint = f"Whole days, 1 to {LOGIN_DAYS_MAX:,}; 0: never."
        problems.add((*path, "days"), "'days' is no number of days", hint)
        days = 0
    entries = table(problems, (*path, "map"), given.get("map", {}))
    if len(entries) > LOGIN_MAPPED_MAX:
        message = f"{len(entries):,} values are mapped, and there may be {LOGIN_MAPPED_MAX:,}"
        problems.add((*path, "map"), message, "Map groups, and not people.")
        entries = {}
    if not entries:
        problems.add(path, "[login] maps nothing", 'Begin with [login.map.VALUE] and role = "...".')
    found = {each: _given(problems, each, settings, roles) for each, settings in entries.items()}
    users = {}
    for user, login in table(problems, (*path, "users"), given.get("users", {})).items() if said else ():
        if named(problems, (*path, "users", user), user, "a user"):
            users[user] = _logged_in(problems, user, login)
    return Logins(claim, found, days, users)


def users_of(logins: Logins) -> dict[str, User]:
    """Who has logged in, as users. Those whose values give nothing any more are none."""
    found: dict[tuple[str, ...], Given | None] = {}  # many have the same
    users = {}
    for name, login in logins.users.items():
        if login.by not in found:
            found[login.by] = logins.given(login.by)
        given = found[login.by]
        if given is not None:
            users[name] = User(name, given.line, given.role, given.attributes)
    return users


def _given(problems: Problems, value: str, settings: object, roles: Mapping[str, Role]) -> Given:
    path: Path = ("login", "map", value)
    what = f"what {value[:60]!r} gives"
    if not 0 < len(value) <= LOGIN_VALUE_LENGTH_MAX or not value.isprintable():
        hint = f"A value of a claim has 1 to {LOGIN_VALUE_LENGTH_MAX} visible characters."
        problems.add(path, f"{value[:60]!r} is no value of a claim", hint)
    given = table(problems, path, settings)
    check_settings(problems, path, given, ("role", "attributes"), what)
    role = text(problems, (*path, "role"), given.get("role", ""))
    if role is not None and role not in roles:
        message = f"{what}: there is no role {role!r}" if role else f"{what} has no role"
        problems.add((*path, "role"), message, suggestion(role, roles, "roles"))
    attributes = read_attributes(problems, path, what, given.get("attributes", {}))
    return Given(role or "", attributes, problems.line(*path))


def _logged_in(problems: Problems, user: str, given: object) -> LoggedIn:
    path: Path = ("login", "users", user)
    settings = table(problems, path, given)
    at = settings.get("at")
    if not isinstance(at, datetime) or at.tzinfo is None:
        problems.add(path, f"when {user!r} has logged in is no time", "Apply the policy again.")
        at = datetime.fromtimestamp(0, UTC)
    by = texts(problems, (*path, "by"), settings.get("by"), LOGIN_VALUES_MAX)
    return LoggedIn(int(at.timestamp()) * _SECOND_US, by)


def _may_go_on(whole: str) -> bool:
    """Whether the relay can write its part behind this text."""
    try:
        tomllib.loads(whole + BEGINNING)
    except (tomllib.TOMLDecodeError, RecursionError, ValueError):
        return False
    return True
