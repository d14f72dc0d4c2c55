"""Every error that this library raises.

    CrdtSyncError
    ├── UsageError                    what the caller asked for is wrong (exit code 2)
    │   ├── InvalidSchema (IncompatibleSchema)  InvalidValue (InvalidTransition  OpenConflict  NoConflict)
    │   ├── InvalidPolicy  InvalidCheckpoint
    │   ├── InvalidRecordId  KeyTaken  EditEnded  EditInProgress  EditOvertaken  EditForbidden
    │   ├── UnknownRefusal
    │   ├── UnknownCollection  UnknownField  UnknownRecord  RecordDeleted  RecordTooLarge
    │   ├── InvalidSettings  InvalidInvite  UnknownSpace  SpaceExists
    │   ├── InvalidTable  KeyNeeded  AlreadyHere  AnotherCustomer  AnotherList  WhichSource
    │   ├── TableNotWritten
    │   └── InvalidBundle (BundleLocked)  BundleNotWritten  OutputNotWritten (EditNotReported)
    ├── StoreError                    the data directory (exit code 3)
    │   ├── StoreMissing  StoreExists  StoreInUse  StoreFormat  StoreForbidden
    │   ├── StoreCorrupt (RecordUnreadable)  EditsLost  StoreFull  StoreFailed  StoreClosed  LogCompacted
    │   ├── KeyUnusable  StoreLocked  StoreKeyWrong  DeviceLocked  DeviceWiped
    │   └── OwnerGone (OwnerSilent)  NotServed
    ├── RemoteError                   the partner or the way to it (exit code 4)
    │   ├── Unreachable  ConnectionLost  Timeout
    │   ├── Unauthorized (IdentityRefused)  LoginFailed  ForeignRelay  VersionMismatch
    │   └── ProtocolViolation  Rejected  RecordsMissing
    ├── UpdateRefused                 bytes of an update that cannot be integrated (exit code 5)
    ├── PutOff                        a partner takes nothing more for a while (exit code 5)
    └── Mismatch                      two replicas do not hold the same data (exit code 6)

Each has a stable `code` for programs, a `message`, a `hint` with the next step, `retryable` (the same call may
succeed later) and `uncertain` (the thing may have happened although it failed).
"""

from collections.abc import Mapping, Sequence
from typing import ClassVar


class CrdtSyncError(Exception):
    """Root of all errors of this library."""

    code: ClassVar[str] = "error"
    exit_code: ClassVar[int] = 1
    retryable: ClassVar[bool] = False
    uncertain: ClassVar[bool] = False

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def as_dict(self) -> dict[str, object]:
        """The error for `--json` output."""
        return {
            "error": self.code,
            "message": self.message,
            "hint": self.hint,
            "retryable": self.retryable,
            "uncertain": self.uncertain,
        }


class UsageError(CrdtSyncError):
    """What the caller asked for is wrong; nothing was changed."""

    code = "usage"
    exit_code = 2


class InvalidSchema(UsageError):
    """A schema file is not valid."""

    code = "invalid_schema"


class IncompatibleSchema(InvalidSchema):
    """A newer version of a schema changes what a field means; records that are here already could not be read."""

    code = "incompatible_schema"


class InvalidPolicy(UsageError):
    """A policy is not valid; the one before stays in force.

    `problems` are all that were found, each with `line` (0 where it is of the whole file), `message` and `hint`.
    """

    code = "invalid_policy"

    def __init__(self, message: str, hint: str, problems: Sequence[Mapping[str, object]]) -> None:
        super().__init__(message, hint)
        self.problems = tuple(problems)

    def as_dict(self) -> dict[str, object]:
        """The error for `--json` output, with its problems."""
        return {**super().as_dict(), "problems": [dict(each) for each in self.problems]}


class InvalidCheckpoint(UsageError):
    """A file that should hold a checkpoint of an audit log does not."""

    code = "invalid_checkpoint"


class InvalidValue(UsageError):
    """A value does not fit its field."""

    code = "invalid_value"

    def __init__(self, field: str, message: str, hint: str = "") -> None:
        super().__init__(f"field {field!r}: {message}", hint)
        self.field = field


class InvalidTransition(InvalidValue):
    """A stage cannot be reached from the present one."""

    code = "invalid_transition"


class OpenConflict(InvalidValue):
    """The field holds concurrent values that wait for a decision; writing over them would make it in silence."""

    code = "open_conflict"


class NoConflict(InvalidValue):
    """There is nothing to decide: the field holds one value."""

    code = "no_conflict"


class KeyTaken(UsageError):
    """Another record shows the natural key that was entered; `record` is its id."""

    code = "key_taken"

    def __init__(self, message: str, hint: str, record: str) -> None:
        super().__init__(message, hint)
        self.record = record


class EditForbidden(UsageError):
    """The policy does not allow that edit; nothing was stored.

    `field` is empty where all of the record is meant; `rule` says what is not allowed, and `who` names some who may.
    """

    code = "edit_forbidden"

    def __init__(self, record: str, field: str, rule: str, who: Sequence[str] = ()) -> None:
        what = f"field {field!r} of {record}" if field else record
        whom = f"who may, as {' or '.join(who)}," if who else "whoever may,"
        super().__init__(f"{what}: {rule}", f"Ask {whom} or whoever keeps the policy of this space.")
        self.record = record
        self.field = field
        self.rule = rule


class UnknownRefusal(UsageError):
    """No refused edit of that number is kept."""

    code = "unknown_refusal"


class EditEnded(UsageError):
    """Something was written to a record whose edit block is over; it would never reach the disk."""

    code = "edit_ended"


class EditInProgress(UsageError):
    """Too many edit blocks of one record are open at once."""

    code = "edit_in_progress"
    retryable = True


class EditOvertaken(UsageError):
    """While an edit block was open, what it builds on was lost or written by somebody else under our name: not stored.

    That takes a copy of this store, or a repair of it. Made again, the edit goes through.
    """

    code = "edit_overtaken"
    retryable = True


class InvalidRecordId(UsageError):
    """A text is not a record id."""

    code = "invalid_record_id"

    def __init__(self, record: str, hint: str = "") -> None:
        super().__init__(
            f"{record[:80]!r} is not a record id",
            hint or "A record id is 'collection/key', as printed by 'crdt-sync list'.",
        )


class UnknownCollection(UsageError):
    """No schema with that name is known here."""

    code = "unknown_collection"


class UnknownField(UsageError):
    """The schema has no such field."""

    code = "unknown_field"


class UnknownRecord(UsageError):
    """No record with that id is known here."""

    code = "unknown_record"

    def __init__(self, record: str) -> None:
        super().__init__(
            f"no record {record!r} here", "List the records with 'crdt-sync list', or run 'crdt-sync sync' first."
        )
        self.record = record


class RecordDeleted(UsageError):
    """The record was deleted; an edit would bring it back unasked."""

    code = "record_deleted"


class RecordTooLarge(UsageError):
    """The edit would make the record larger than its limit."""

    code = "record_too_large"


class InvalidSettings(UsageError):
    """A setting from a file, the environment or a flag is wrong."""

    code = "invalid_settings"


class InvalidInvite(UsageError):
    """The link of an invite is damaged, cut off, or none at all."""

    code = "invalid_invite"


class UnknownSpace(UsageError):
    """The relay has no space of that name."""

    code = "unknown_space"


class SpaceExists(UsageError):
    """The relay has a space of that name already."""

    code = "space_exists"


class NotOnThisSystem(UsageError):
    """What was asked for needs what this operating system lacks."""

    code = "not_on_this_system"


class InvalidTable(UsageError):
    """A table to import cannot be read."""

    code = "invalid_table"


class KeyNeeded(UsageError):
    """Several columns of a table could identify its rows: `candidates`, of which somebody must choose."""

    code = "key_needed"

    def __init__(self, candidates: tuple[str, ...]) -> None:
        names = ", ".join(map(repr, candidates))
        super().__init__(
            f"several columns could identify the rows: {names}",
            f"Choose one, as with --key {candidates[0]!r}, or go by whole rows with --no-key.",
        )
        self.candidates = candidates


class AnotherList(UsageError):
    """Most rows of a table name customers of whom they say nothing that is known here: `rows` of those looked at."""

    code = "another_list"

    def __init__(self, source: str, rows: int, looked_at: int, example: str, hint: str) -> None:
        super().__init__(
            f"this looks like another list than {source!r}: {rows} of {looked_at} rows have the key or place of "
            f"somebody else, {example}",
            hint,
        )
        self.rows = rows


class AlreadyHere(UsageError):
    """Most rows of a table would be new records, and look like customers that are here: `rows` of those looked at.

    Of an export, any row that may be edited and whose record is not clear; of any table, any row of a customer whose
    key was edited, as it seems.
    """

    code = "already_here"

    def __init__(
        self,
        rows: int,
        looked_at: int,
        example: str,
        hint: str,
        alike: str = "have the name and the e-mail address or phone of customers that are here already",
    ) -> None:
        super().__init__(
            f"nothing was imported: {rows} of {looked_at} rows would be new records, but {alike}, {example}", hint
        )
        self.rows = rows


class WhichSource(UsageError):
    """Most rows of a table that nobody imported before are those of another `source`, and some would be new records."""

    code = "which_source"

    def __init__(self, message: str, hint: str, source: str) -> None:
        super().__init__(message, hint)
        self.source = source


class AnotherCustomer(UsageError):
    """Rows of a table have the key of one customer and are another by all else that they say: `rows` of those looked
    at."""

    code = "another_customer"

    def __init__(self, key: str, rows: int, looked_at: int, example: str, hint: str) -> None:
        super().__init__(
            f"nothing was imported: {rows} of {looked_at} rows {'has' if rows == 1 else 'have'} the {key} of somebody "
            f"else: {example}",
            hint,
        )
        self.rows = rows


class TableNotWritten(UsageError):
    """A table cannot be exported as asked; what was in its place before is still there."""

    code = "table_not_written"


class InvalidBundle(UsageError):
    """A bundle is damaged, cut off, or none at all; nothing of it was taken up."""

    code = "invalid_bundle"


class ForeignBundle(InvalidBundle):
    """A bundle holds records of another space than the store; nothing of it was taken up."""

    code = "foreign_bundle"

    def __init__(self, file: str, maker: str) -> None:
        super().__init__(
            f"{file}, made by {maker!r:.80}, holds records of another space than this store: those of somebody else",
            "Nothing was taken up. Check the file, and --store. If both are of one company, as after a relay was made "
            "anew: sync both devices with one relay, or apply it with --other-space, which mixes the two for good.",
        )


class BundleLocked(InvalidBundle):
    """A bundle is protected by a token that was not given, or by another one."""

    code = "bundle_locked"


class BundleSealed(InvalidBundle):
    """A bundle is sealed to others than this device; nothing of it can be read here."""

    code = "bundle_sealed"


class BundleUnsealed(InvalidBundle):
    """A bundle that is not sealed came to a device of a space with people: nothing proves who made it."""

    code = "bundle_unsealed"


class BundleForbidden(UsageError):
    """The policy does not let the user of this device put anything into a bundle."""

    code = "bundle_forbidden"


class BundleNotWritten(UsageError):
    """A bundle cannot be written as asked; what was in its place before is still there."""

    code = "bundle_not_written"


class OutputNotWritten(UsageError):
    """What a command prints cannot be written where it was sent; what the command did is done."""

    code = "output_not_written"


class EditNotReported(OutputNotWritten):
    """The same, and records were edited: the edits are stored, and the same call would make them twice."""

    code = "edit_not_reported"
    uncertain = True


class StoreError(CrdtSyncError):
    """The data directory cannot be used as asked; nothing acknowledged is lost."""

    code = "store"
    exit_code = 3


class StoreMissing(StoreError):
    """There is no store in that directory."""

    code = "store_missing"


class StoreExists(StoreError):
    """There is a store already."""

    code = "store_exists"


class StoreInUse(StoreError):
    """Another process has the store open."""

    code = "store_in_use"
    retryable = True


class StoreFormat(StoreError):
    """The store was written by another version of this program."""

    code = "store_format"


class StoreForbidden(StoreError):
    """The operating system does not let this user read or write the store."""

    code = "store_forbidden"


class StoreLocked(StoreError):
    """The store is encrypted, and its key is not at hand; nothing was changed."""

    code = "store_locked"


class StoreKeyWrong(StoreError):
    """The passphrase or key is not that of the encrypted store; nothing was changed."""

    code = "store_key_wrong"


class DeviceLocked(StoreError):
    """The device was without contact for longer than its space allows; its store opens once its relay lets it in."""

    code = "device_locked"


class DeviceWiped(StoreError):
    """The device was without contact for so long that it has destroyed what it held, as its space asks."""

    code = "device_wiped"


class StoreCorrupt(StoreError):
    """A stored value does not match its checksum."""

    code = "store_corrupt"

    def __init__(self, message: str, hint: str = "", record: str | None = None) -> None:
        super().__init__(message, hint)
        self.record = record


class RecordUnreadable(StoreCorrupt):
    """What is stored of a record matches its checksum, and is no record that can be loaded."""

    code = "record_unreadable"

    def __init__(self, record: str, why: object) -> None:
        what = " ".join(str(why).split())[:100] or type(why).__name__
        super().__init__(
            f"what is stored of {record} is no record: {what}",
            "Run 'crdt-sync verify --repair', then 'crdt-sync sync': the record is set aside, and comes back from the "
            "relay or from another device that holds it.",
            record,
        )


class EditsLost(StoreError):
    """A damaged store was mended, and something of it is gone; what it is was named."""

    code = "edits_lost"


class StoreFull(StoreError):
    """The disk or its quota is full; the write was not made."""

    code = "store_full"
    retryable = True


class StoreFailed(StoreError):
    """The disk failed during a write; the write was refused."""

    code = "store_failed"
    retryable = True


class StoreClosed(StoreError):
    """The store was closed already."""

    code = "store_closed"


class KeyUnusable(StoreError):
    """The file of a key cannot be read or written, or holds no such key."""

    code = "key_unusable"


class OwnerGone(StoreError):
    """The program that owns the store ended, or said no more; what was asked of it was not done."""

    code = "owner_gone"
    retryable = True


class OwnerSilent(OwnerGone):
    """The program that owns the store has the edit and gave no answer: it may be stored or not."""

    code = "owner_silent"
    uncertain = True


class NotServed(StoreError):
    """The program that owns the store does not do that for others: it takes the store alone."""

    code = "not_served"


class LogCompacted(StoreError):
    """The log no longer holds the entries asked for; read the feed instead."""

    code = "log_compacted"


class RemoteError(CrdtSyncError):
    """The partner, or the way to it, failed; local data are unharmed."""

    code = "remote"
    exit_code = 4


class Unreachable(RemoteError):
    """No connection could be made."""

    code = "unreachable"
    retryable = True


class ConnectionLost(RemoteError):
    """The connection ended before the work was done."""

    code = "connection_lost"
    retryable = True
    uncertain = True


class Timeout(RemoteError):
    """The partner did not answer in time."""

    code = "timeout"
    retryable = True
    uncertain = True


class Unauthorized(RemoteError):
    """The partner refused the token."""

    code = "unauthorized"


class IdentityRefused(Unauthorized):
    """What the other side shows of who it is, or of what its space says, does not hold; `reason` is a stable code of
    docs/security.md.
    """

    code = "identity_refused"

    def __init__(self, reason: str, message: str, hint: str) -> None:
        super().__init__(message, hint)
        self.reason = reason

    def as_dict(self) -> dict[str, object]:
        """The error for `--json` output."""
        return {**super().as_dict(), "reason": self.reason}


class LoginFailed(RemoteError):
    """A login system gave no id token: it was not allowed, not in time, or answers with something else."""

    code = "login_failed"


class ForeignRelay(RemoteError):
    """The relay shares no history with those that the store synced with; nothing was exchanged.

    `url` is where it is, `known` are the addresses of the others, and `records` how many it would have been given.
    """

    code = "foreign_relay"

    def __init__(self, url: str, known: Sequence[str], records: int) -> None:
        whose = ", ".join(known[:3]) + (", ..." if len(known) > 3 else "")
        many = "1 record" if records == 1 else f"{records} records"
        super().__init__(
            f"the relay at {url} has nothing to do with the one that this store syncs with ({whose}): "
            f"it would be given {many} from here",
            "Nothing was exchanged. Check the address; if that relay is to have them, say so once with "
            "--new-relay, as in 'crdt-sync sync --new-relay'.",
        )
        self.url = url
        self.known = tuple(known)
        self.records = records


class ForeignSpace(RemoteError):
    """The partner's records belong to another space than ours; nothing was exchanged."""

    code = "foreign_space"

    def __init__(self, who: str) -> None:
        super().__init__(
            f"{who} holds the records of another space than this store: those of somebody else",
            "Nothing was exchanged. Check the address; 'crdt-sync space move ADDRESS' gives all that this store holds "
            "to the other space, and takes what is there.",
        )


class VersionMismatch(RemoteError):
    """The two sides have no protocol version in common."""

    code = "version_mismatch"


class ProtocolViolation(RemoteError):
    """The partner sent what the protocol does not allow."""

    code = "protocol_violation"


class Rejected(RemoteError):
    """The partner ended the session with a reason of its own."""

    code = "rejected"
    retryable = True


class RecordsMissing(RemoteError):
    """The partner has something that is not here, although it was asked for; all else was exchanged.

    It cannot read it, or this device does not take it: the hint says what helps. The next sync asks for it again.
    `records` are the first of them, and what is known of each.
    """

    code = "records_missing"
    retryable = True

    def __init__(self, message: str, hint: str, records: Mapping[str, str]) -> None:
        super().__init__(message, hint)
        self.records = records

    def as_dict(self) -> dict[str, object]:
        """The error for `--json` output."""
        return {**super().as_dict(), "records": dict(self.records)}


class UpdateRefused(CrdtSyncError):
    """An update cannot be integrated; `reason` is one of the refusal codes of docs/protocol.md."""

    code = "update_refused"
    exit_code = 5

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason


class PutOff(CrdtSyncError):
    """A partner said that it takes nothing more for a while, as a quota is used up; what waits stays safe here."""

    code = "put_off"
    exit_code = 5
    retryable = True


class Mismatch(CrdtSyncError):
    """Two replicas were compared and do not hold the same data."""

    code = "mismatch"
    exit_code = 6
