"""One entry of the audit log: who did what, from where, to which record, and what became of it. Never a value.

In bytes: when, 8 bytes, then CBOR `[act, user, device, address, brought_by, record, fields, policy, verdict, times,
about]`. Acts and verdicts are numbers; a verdict of 0 is none.
"""

from enum import StrEnum
from typing import Final, NamedTuple

from crdt_sync import limits
from crdt_sync.strict_cbor import array_of, dumps, loads, text, uint
from crdt_sync.verdicts import VerdictCode

TIME_BYTES: Final = 8
_ITEMS_MAX = limits.FIELDS_MAX + 16
_DEPTH_MAX = 2


class Act(StrEnum):
    """What was done. The order is that of their numbers in the log, from 0: new ones are added at the end."""

    CHANGE = "change"  # of a record, accepted or refused
    LOGIN = "login"
    LOGIN_FAILED = "failed login"  # a token, a proof or a device that was not let in
    ENROLMENT = "enrolment"
    READ = "read"  # of a section of which the policy asks that
    EXPORT = "export"  # or a bundle
    ADMINISTRATION = "administration"  # a command of the operator; `about` says which
    CUT = "cut"  # entries were dropped for their age or number; `about` is the checkpoint of the last of them
    WIPE = "wipe"  # a device confirmed that it destroyed what it held
    HAND_IN = "hand-in"  # a device that is out handed in for review what it had not sent


_ACTS: Final = {act: number for number, act in enumerate(Act)}
_BY_NUMBER: Final = tuple(Act)
_VERDICTS: Final = {code: number for number, code in enumerate(VerdictCode, 1)}
_CODES: Final = (None, *VerdictCode)
_CHANGE: Final = array_of(11) + uint(_ACTS[Act.CHANGE])
_ACCEPTED: Final = uint(_VERDICTS[VerdictCode.ACCEPTED])
_NO_FIELDS: Final = array_of(0)
_NOTHING_ABOUT: Final = text("")
_TYPES: Final = (int, str, bytes, str, str, str, tuple, int, int, int, str)


class Entry(NamedTuple):
    """What happened `at` that time (µs since 1970).

    `user` is who did it, and `brought_by` the user in whose session it came, where that was another one. `device` is
    its id, 16 bytes; `fields` are those that a change touches, where they are known; `policy` is the version that was
    in force, 0 where there was none. `times` says of how many alike this is the line. `about` says more: the name of a
    command, the code of a refused login.
    """

    at: int
    act: Act
    user: str = ""
    device: bytes = b""
    address: str = ""
    brought_by: str = ""
    record: str = ""
    fields: tuple[str, ...] = ()
    policy: int = 0
    verdict: VerdictCode | None = None
    times: int = 1
    about: str = ""

    @property
    def refused(self) -> bool:
        """Whether it was not let in, or not taken."""
        return self.act is Act.LOGIN_FAILED or self.verdict not in {None, VerdictCode.ACCEPTED}

    def as_dict(self) -> dict[str, object]:
        """For JSON."""
        return {
            "at_us": self.at,
            "act": self.act.value,
            "user": self.user,
            "device": self.device.hex(),
            "address": self.address,
            "brought_by": self.brought_by,
            "record": self.record,
            "fields": list(self.fields),
            "policy": self.policy,
            "verdict": "" if self.verdict is None else self.verdict.value,
            "times": self.times,
            "about": self.about,
        }


def administered(at: int, by: str, command: str, **about: object) -> Entry:
    """What `by` did with a command of the relay, and to what: `administered(now, "operator root", "revoke", device=…)`.

    For each command that changes something. Name things in `about`, and no secrets.
    """
    told = " ".join([command, *(f"{name}={value}" for name, value in about.items())])
    return Entry(at, Act.ADMINISTRATION, by, about=told[: limits.AUDIT_ABOUT_LENGTH_MAX])


def encode(entry: Entry) -> bytes:
    """The bytes of an entry."""
    at, act, user, device, address, brought_by, record, fields, policy, verdict, times, about = entry
    number = 0 if verdict is None else _VERDICTS[verdict]
    items = (_ACTS[act], user, device, address, brought_by, record, fields, policy, number, times, about)
    return at.to_bytes(TIME_BYTES, "big") + dumps(items)


def whose(user: str, device: bytes, address: str, brought_by: str = "") -> bytes:
    """How an entry begins that is of this user, device and address, and was brought by that user; see `accepted`."""
    return b"".join(map(dumps, (user, device, address, brought_by)))


def accepted(at: int, whose: bytes, record: str, fields: tuple[str, ...], policy: int, times: int) -> bytes:
    """What `encode` makes of an accepted change, at a third of the time: there is one in each commit."""
    return b"".join(
        (
            at.to_bytes(TIME_BYTES, "big"), _CHANGE, whose, text(record), dumps(fields) if fields else _NO_FIELDS,
            uint(policy), _ACCEPTED, uint(times), _NOTHING_ABOUT,
        )
    )  # fmt: skip


def decode(body: bytes) -> Entry:
    """What `encode` made the bytes of. Raises `ValueError`."""
    if len(body) > limits.AUDIT_ENTRY_BYTES_MAX:
        raise ValueError("it is too long")
    items = loads(body[TIME_BYTES:], items_max=_ITEMS_MAX, depth_max=_DEPTH_MAX)
    if not isinstance(items, tuple) or tuple(map(type, items)) != _TYPES:
        raise ValueError("it is no entry of an audit log")
    act, user, device, address, brought_by, record, fields, policy, verdict, times, about = items
    if not (0 <= act < len(_BY_NUMBER) and 0 <= verdict < len(_CODES) and all(type(each) is str for each in fields)):
        raise ValueError("it says what no entry of an audit log says")
    at, code = int.from_bytes(body[:TIME_BYTES], "big"), _CODES[verdict]
    return Entry(at, _BY_NUMBER[act], user, device, address, brought_by, record, fields, policy, code, times, about)
