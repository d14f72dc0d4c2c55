"""Whether the author of an update may do what it does, where a policy is in force.

Rules:

1. Each field that is written, emptied or deleted from has to be one that the user may write, by the operation that it
   takes: `create` in a new record, `edit` in another, `resolve` where values that wait for a decision are superseded.
2. A new record is judged by what it begins with, any other by what it shows before.
3. `delete` and `restore` are what their names say; a delete that says that it has seen what nobody here has is refused.
4. What an import writes, and what sources are remembered to say, takes `import` as well. How a table was read is
   remembered beside that and is no field: `import` alone brings it, and whoever decides takes it away with the rest.
5. Entries name their author. One that names another user than the session's was brought: it has to be allowed to both.
   Lines of logs that an import writes name whom the table names. Where the schema says `signed`, each entry of a person
   is signed by a device of that author, as a token in the record says; those that are here already need not be. What is
   so proved has to be allowed to its author alone, whoever brings it that may have the record: entries that are newer
   than all that is here in the field, and lines. Nobody proves what they superseded: where that waits for a decision,
   it has to be allowed to both. So has what a device signed that is out.
6. A value has to be one of its field: of its type, of its states and choices, a stage one that the last may become.
   What is required is not emptied.
7. What cannot be told is refused.
8. A record is written anew by whoever may change something in it. What its lineage covers and does not show cannot be
   told: where nobody here has seen that, it takes whoever may change everything. So that a delete that stands says
   something else of what it had seen, it takes whoever may delete.
9. A field is written where it lives: one in a section into the companion of its record, any other into the record.
   A companion is judged by what its record shows, and writing into it is `edit`; who may not edit and may make records
   begins one by `create`. Nothing in it says that it is deleted: its record does.
10. What masks show is derived by a relay, and written by nobody.

A reason names the field and the rule, and never a value.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from dataclasses import field as kept
from functools import cached_property, partial
from typing import Final

from crdt_sync import ids
from crdt_sync.errors import UpdateRefused
from crdt_sync.limits import FILTER_VALUE_LENGTH_MAX, REASON_LENGTH_MAX, TOKENS_OF_DEVICE_MAX
from crdt_sync.policy.in_force import InForce
from crdt_sync.policy.model import ALL, Operation
from crdt_sync.policy.rights import CLEAR, Access, Rights
from crdt_sync.policy.rights import NOTHING as NO_ACCESS
from crdt_sync.policy.schemas import section_of
from crdt_sync.policy.values import Forms, Values
from crdt_sync.records.comparing import filled, identity
from crdt_sync.records.deletion import seen_by
from crdt_sync.records.document import Document
from crdt_sync.records.entries import Entry, is_entry, well_formed
from crdt_sync.records.gate.fitting import fits, fits_alone, reachable
from crdt_sync.records.gate.touches import Overwritten, Touch, Touches
from crdt_sync.records.lineages.holding import known_to
from crdt_sync.records.member_keys import is_imported
from crdt_sync.records.memory.beginnings import said_of
from crdt_sync.records.memory.sources import COLUMNS, IMPORTED, REMOVED, SEEN, parse_entry
from crdt_sync.records.natural_key import is_asked
from crdt_sync.records.reading import value_of
from crdt_sync.records.roots import (
    ARRAY_PREFIXES,
    BEGUN_ROOT,
    DELETED_ROOT,
    SIGNERS_ROOT,
    SOURCES_ROOT,
    TEXT_PREFIX,
    Layout,
    is_reserved,
)
from crdt_sync.records.schema import FieldSpec, Schema
from crdt_sync.records.signature_text import signature_of
from crdt_sync.records.signatures import Standing, Tokens, is_token, standing, tokens_in
from crdt_sync.records.updates import state_vector as vectors
from crdt_sync.records.values import canonical

_Read = Callable[[object], Mapping[str, object] | None]
"""What an entry says, by field; None where it is no such entry."""
_LAYOUTS = frozenset(Layout)
_BOOK_FIELDS = frozenset({"source", "versions"})
_EVERYTHING: tuple[Operation, ...] = ("edit", "resolve", "delete", "restore")
_NAME_LENGTH_MAX = 48
_ANY = 1 << 62
_NOBODY_SAYS: frozenset[str] = frozenset()
_CASES_MAX = 4096  # of who writes which field where what is shown, remembered as allowed

NOTHING: Final = Touch()
NOT_WRITABLE = "{user} may not write this field"
NO_SCHEMA = "nothing says here what this field is: whoever keeps the schemas has to sync first"
SEEN_IN_PART = "{user} sees this field in part, and may not write it"
DERIVED = "this is what a mask shows, which the relay alone derives"
NOT_ALLOWED = "{user} may not {operation} here"
NOT_HELD = "{user} may not write into this record"
NOBODY = "an entry is signed by nobody that the policy names"
ELSEWHERE = "this field is in the section {section!r}, which a newer release of crdt-sync writes apart"
NOT_OF_SECTION = "this field is not of the section {section!r}"
OTHER_KIND = "this field is of another kind"
NO_VALUE = "this is no value of the field"
NO_MOVE = "the stage may not become this"
EMPTIED = "this field is required and cannot be emptied"
UNSEEN = "a delete says that it has seen what is not here"
UNTOLD = "what this does cannot be told"
UNSIGNED = "this entry is not signed by a device of its author, as the schema asks"
NO_TOKEN = "this is no token of this space for that device"
FORGED = "the signature of this entry is of another entry, or by another user's device"
NOT_RENEWED = "{user} may change nothing in this record, and so not write it anew"
HIDDEN = "{user} may not change everything here, and this hides what nobody has seen"
RESTATED = "{user} may not delete here, and so not say anew what a delete had seen"


@dataclass(frozen=True, slots=True)
class Rules:
    """What the gate goes by for the records of one collection. `schema` is None where nobody has described it.

    For one companion the schema is that of its section, and `whole` what its record shows, None where that is not here.
    """

    in_force: InForce
    collection: str
    schema: Schema | None
    whole: Forms | None = None
    _plain: dict[str, int] = kept(default_factory=dict, init=False, repr=False, compare=False)
    _shows: dict[str, bool] = kept(default_factory=dict, init=False, repr=False, compare=False)
    _allowed: set[tuple[object, ...]] = kept(default_factory=set, init=False, repr=False, compare=False)

    @property
    def section(self) -> str:
        """The section of a companion; empty for a record itself."""
        return ids.section_of(self.collection)

    def access(self, user: str, values: Values) -> Access:
        """What a user may do with the record that shows `values`, or with the companion."""
        rights = self.in_force.rights(user)
        if not self.section:
            return rights.on(self.collection, values)
        return NO_ACCESS if self.whole is None else rights.at(ids.whole_collection(self.collection), self.whole)

    def values(self, document: Document) -> Values:
        """What the filter fields of a record show; of a long value as much as it takes to equal nothing."""
        if self.schema is None:
            return {}
        return {
            field: _short(value_of(document, field, self.schema))
            for field, spec in self.schema.fields.items()
            if spec.filter
        }

    def shows(self, touched: Iterable[str]) -> bool:
        """Whether what the filter fields show may have changed."""
        for root in touched:
            shows = self._shows.get(root)
            if shows is None:
                spec = None if self.schema is None else self.schema.fields.get(root[2:])
                if len(self._shows) >= _CASES_MAX:
                    self._shows.clear()
                shows = self._shows[root] = root == SOURCES_ROOT or (spec is not None and spec.filter)
            if shows:
                return True
        return False


def plainly_permitted(rules: Rules, user: str, written: Overwritten, values: Values) -> bool:
    """Whether `permitted` would let in an entry of the user's own in the place of what is there, told in a moment.

    False says nothing. Only of fields for which it makes no difference what is there, or no more than how much of it.
    """
    root, entry, removed = written
    name = root[2:]
    schema = rules.schema
    if schema is None or not root.startswith(Layout.ENTRIES) or entry[2] != user or entry[1] == IMPORTED:
        return False
    if (spec := schema.fields.get(name)) is None or (spec.section or "") != rules.section:
        return False
    most = rules._plain.get(name)
    if most is None:
        rules._plain[name] = most = _removed_max(schema, name, spec)
    if removed > most or not fits_alone(name, spec, entry[0]):
        return False
    case = (user, name, *values.items())
    if case not in rules._allowed:
        access = rules.access(user, values)
        if not access.allows("edit") or not access.writes(name, spec.section or ""):
            return False
        if len(rules._allowed) >= _CASES_MAX:
            rules._allowed.clear()
        rules._allowed.add(case)
    return True


def _removed_max(schema: Schema, name: str, spec: FieldSpec) -> int:
    """How much may be deleted in a field by who writes an entry, and it makes no difference what: neither moves, nor
    emptying matter there; a decision supersedes at least two values. Less than nothing where it always matters.
    """
    if spec.required or spec.transitions or spec.rules.layout != Layout.ENTRIES or ids.is_reserved(schema.collection):
        return -1
    if schema.signed:
        return -1
    return 1 if is_asked(schema, name, ("one", "another")) else _ANY


class _Denied(Exception):
    def __init__(self, rule: str, field: str = "") -> None:
        super().__init__(rule)
        self.rule = rule
        self.field = field

    @property
    def told(self) -> str:
        return f"{self.field[:_NAME_LENGTH_MAX]}: {self.rule}"[:REASON_LENGTH_MAX] if self.field else self.rule


def permitted(
    rules: Rules,
    user: str,
    touched: Touches,
    values: Values | None,
    before: Document,
    after: Callable[[], Document],
    record: str = "",
) -> str:
    """Why a user may not do what `touched` tells of an update of `record`; empty where all of it is allowed.

    `values` are those that the record shows before, None where it is new; `before` is the record as it is, and `after`
    makes a document of it with the update.
    """
    if not touched:
        return ""
    judge = _Judge(rules, user, values, before, after, record, touched)
    try:
        judge.holds()
        for root in sorted(touched, key=lambda root: (root == SIGNERS_ROOT, root)):  # what was signed says more
            judge.root(root, touched[root])
        judge.authors()
    except _Denied as denied:
        return denied.told
    return ""


def renewable(
    rules: Rules, user: str, values: Values | None, after: Document, *, hidden: bool = False, restated: bool = False
) -> str:
    """Why a user may not put another lineage in the place of a record, whatever it says; empty where they may.

    `values` are as in `permitted`, and `after` is the record as it would be. `hidden` tells that it covers what
    it does not show and nobody here has seen, `restated` that a delete that stands would say that it had seen other
    operations.
    """
    access = rules.access(user, rules.values(after) if values is None else values)
    if ids.is_masked(rules.collection):
        return DERIVED
    if rules.collection == ids.IMPORTS and _may_import(rules.in_force.rights(user)):
        return ""
    if not access.held:
        return NOT_HELD.format(user=_named(user))
    fields = () if rules.schema is None else rules.schema.fields
    writes = not rules.section or any(access.writes(field, rules.section) for field in fields)
    if not (access.changes and writes):
        return NOT_RENEWED.format(user=_named(user))
    if hidden and not _changes_all(access, rules.schema):
        return HIDDEN.format(user=_named(user))
    return RESTATED.format(user=_named(user)) if restated and not access.allows("delete") else ""


def _changes_all(access: Access, schema: Schema | None) -> bool:
    """Whether nothing can have been done in a record that somebody might not do."""
    fields = {} if schema is None else schema.fields
    return all(map(access.allows, _EVERYTHING)) and all(
        access.writes(field, spec.section or "") for field, spec in fields.items()
    )


class _Judge:
    """One update."""

    def __init__(
        self,
        rules: Rules,
        user: str,
        values: Values | None,
        before: Document,
        after: Callable[[], Document],
        record: str,
        touched: Touches,
    ) -> None:
        self._record = record
        self._signers = touched.get(SIGNERS_ROOT, NOTHING)  # what is done to the tokens of devices that sign
        self._alone = len(touched) == 1
        self._rules = rules
        self._schema = rules.schema
        self._user = user
        self._before = before
        self._make = after
        self._base: Operation = "create" if values is None else "edit"
        self._values = rules.values(self._after) if values is None else values
        self._rights = rules.in_force.rights(user)
        self._access = rules.access(user, self._values)
        if rules.section:
            begins = values is None and not self._access.allows("edit")
            self._base = "create" if begins and self._access.allows("create") else "edit"
        self._is_book = rules.collection == ids.IMPORTS and _may_import(self._rights)
        self._brought: dict[str, set[tuple[str, Operation]]] = {}

    @cached_property
    def _after(self) -> Document:
        return self._make()

    # --- who may what ----------------------------------------------------------------------------------------

    def holds(self) -> None:
        """Whether anything may be done with the record at all."""
        if ids.is_masked(self._rules.collection):
            raise _Denied(DERIVED)
        if not self._access.held and not self._is_book:
            raise _Denied(NOT_HELD.format(user=_named(self._user)))

    def root(self, root: str, touch: Touch) -> None:
        """Judge what is done to one root."""
        if root == DELETED_ROOT and self._rules.section:
            raise _Denied(UNTOLD, "_deleted")
        if root == DELETED_ROOT:
            self._deletion(touch)
        elif root == SOURCES_ROOT:
            self._memory(root, _said_by_source, "import", "resolve")
        elif root == SIGNERS_ROOT:
            told = not touch.removed and all(is_entry(each) and is_token(each[0]) for each in touch.values)
            if self._alone or not told:  # whoever signs writes something, and that is judged
                raise _Denied(UNTOLD, root[2:])
            for each in touch.values:
                self._check_token(well_formed([each])[0])
        elif root == BEGUN_ROOT:
            self._memory(root, _said_by_person, self._base, "resolve")
        elif root.startswith(f"{TEXT_PREFIX}_") and "." in root[3:]:
            self._field(root.rpartition(".")[2], self._base)
        elif root[:2] not in _LAYOUTS or is_reserved(root) or not ids.is_collection(root[2:]):
            raise _Denied(UNTOLD, root)
        else:
            self._content(root, touch)

    def _field(self, field: str, *operations: Operation) -> None:
        """The user writes a field, by one of these operations."""
        if self._is_book and field in _BOOK_FIELDS:
            return
        self._check_place(field)
        if not self._access.writes(field, section_of(self._schema, field)):
            raise _Denied(self._why_not(field).format(user=_named(self._user)), field)
        self._does(field, *operations)

    def _why_not(self, field: str) -> str:
        """Why a field may not be written."""
        if self._schema is None and any(ALL in grant.write for grant in self._access.grants):
            return NO_SCHEMA
        part = self._access.sight(field, section_of(self._schema, field)) not in (None, CLEAR)
        return SEEN_IN_PART if part else NOT_WRITABLE

    def _check_place(self, field: str) -> None:
        """Whether a field lives in what is written."""
        if self._schema is None:
            return
        here, lives = self._rules.section, section_of(self._schema, field)
        if here and lives != here:
            raise _Denied(NOT_OF_SECTION.format(section=here), field)
        if not here and lives:
            raise _Denied(ELSEWHERE.format(section=lives), field)

    def _does(self, field: str, *operations: Operation) -> None:
        if not any(map(self._access.allows, operations)):
            raise _Denied(NOT_ALLOWED.format(user=_named(self._user), operation=operations[0]), field)

    def _by(self, author: object, field: str, operation: Operation) -> None:
        """An entry in a field names its author."""
        if author != self._user:
            self._brought.setdefault(str(author), set()).add((field, operation))

    def authors(self) -> None:
        """Whoever else is named may do it, too."""
        for author, done in sorted(self._brought.items()):
            if author not in self._rules.in_force.policy.users:
                raise _Denied(NOBODY, min(done)[0])
            access = self._rules.access(author, self._values)
            for field, operation in sorted(done):
                if field and not access.writes(field, section_of(self._schema, field)):
                    raise _Denied(NOT_WRITABLE.format(user=_named(author)), field)
                if not access.allows(operation):
                    raise _Denied(NOT_ALLOWED.format(user=_named(author), operation=operation), field)

    # --- fields ----------------------------------------------------------------------------------------------

    def _content(self, root: str, touch: Touch) -> None:
        layout, field = Layout(root[:2]), root[2:]
        spec = None if self._schema is None else self._schema.fields.get(field)
        operation = self._base
        if layout is Layout.ENTRIES and touch.removed and self._decides(root, field, touch):
            operation = "resolve"
        if operation != "resolve" and self._is_proved(root, layout, touch):
            self._check_place(field)
        else:
            self._field(field, operation)
        if ids.is_reserved(self._rules.collection):
            return
        if spec is not None and spec.rules.layout != layout:
            raise _Denied(OTHER_KIND, field)
        if layout in ARRAY_PREFIXES:
            self._entries(field, layout, touch, operation)
        elif any(map(is_imported, touch.keys)):
            self._does(field, "import")
        if spec is not None:
            self._check_values(root, field, spec, touch)

    def _entries(self, field: str, layout: Layout, touch: Touch, operation: Operation) -> None:
        for entry in touch.values:
            if not is_entry(entry):
                raise _Denied(NO_VALUE, field)
            if entry[1] == IMPORTED and entry[2].startswith("@"):
                self._does(field, "import")
                continue
            imported = layout is Layout.LOG and entry[2] != self._user and self._access.allows("import")
            if not imported:
                self._by(entry[2], field, operation)
            self._check_signature(f"{layout}{field}", entry, unsigned=imported)

    def _check_signature(self, root: str, entry: Entry, *, unsigned: bool) -> None:
        """Where the schema asks for signatures, and there is a space by whose keys they can be checked.

        `unsigned`: it may have none, as what is imported; a wrong one it may not have.
        """
        found = self._standing(root, entry)
        if found is None:
            return
        if found is Standing.FORGED or (found is Standing.CLAIMED and not unsigned):
            raise _Denied(FORGED if found is Standing.FORGED else UNSIGNED, root[2:])

    def _standing(self, root: str, entry: Entry) -> Standing | None:
        """What is known of who wrote an entry; None where nobody asks for that."""
        issuer = self._rules.in_force.issuer
        if self._schema is None or not self._schema.signed or issuer is None:
            return None
        from crdt_sync.identity.certified import verifier_for  # noqa: PLC0415 - cryptography, which most need not

        return standing(verifier_for(issuer), self._record, root, entry, self._tokens)

    def _is_proved(self, root: str, layout: Layout, touch: Touch) -> bool:
        """Whether all that is new in a field is proved to be of others, and nothing is taken away or put back by it
        that they may have had no part in: see rule 5.
        """
        if self._schema is None or not self._schema.signed or not touch.values or layout not in ARRAY_PREFIXES:
            return False
        entries = [entry for entry in touch.values if is_entry(entry) and entry[1] != IMPORTED]
        if len(entries) < len(touch.values) or any(entry[2] == self._user for entry in entries):
            return False
        if layout is Layout.LOG:
            in_order = not touch.removed
        else:
            newest = max((entry[1] for entry in self._held(root)), default=0)
            in_order = all(entry[1] > newest for entry in entries)
        return in_order and all(map(partial(self._is_proved_entry, root), entries))

    def _is_proved_entry(self, root: str, entry: Entry) -> bool:
        issuer, signed = self._rules.in_force.issuer, signature_of(entry)
        if issuer is None or signed is None or signed[0] in issuer.revoked:
            return False
        return self._standing(root, entry) is Standing.VERIFIED

    @cached_property
    def _tokens(self) -> Tokens:
        return tokens_in([*self._signers.values, *_list(self._before, SIGNERS_ROOT)])

    def _check_token(self, entry: Entry) -> None:
        """What is looked through for a signature stays small: there are few tokens that cannot be read here, as the key
        that signed them may not be known yet, and none of another device than the entry says.
        """
        issuer = self._rules.in_force.issuer
        if issuer is None:
            return
        from crdt_sync.identity.certified import verifier_for  # noqa: PLC0415 - likewise

        claims = verifier_for(issuer).claims(entry[0])
        many = len(self._tokens.get(entry[2], ())) > TOKENS_OF_DEVICE_MAX
        if many if claims is None else claims.device.hex() != entry[2]:
            raise _Denied(NO_TOKEN, SIGNERS_ROOT[2:])

    def _decides(self, root: str, field: str, touch: Touch) -> bool:
        """Whether a conflict is decided that waits for it."""
        if touch.removed < 2 and touch.values:
            return False
        held = self._held(root)
        if len(held) < 2 or self._schema is None or not is_asked(self._schema, field, [entry[0] for entry in held]):
            return False
        return len({identity(entry[0], self._schema.fields.get(field)) for entry in held}) > 1

    def _check_values(self, root: str, field: str, spec: FieldSpec, touch: Touch) -> None:
        listed = spec.rules.layout in ARRAY_PREFIXES
        values = [entry[0] for entry in touch.values if is_entry(entry)] if listed else touch.values
        if not fits(field, spec, values, touch.keys):
            raise _Denied(NO_VALUE, field)
        if spec.required and touch.removed:
            self._check_filled(root, field, touch)
        if spec.transitions and values:
            self._check_moves(root, field, spec, touch, values)

    def _check_filled(self, root: str, field: str, touch: Touch) -> None:
        if root.startswith(Layout.ENTRIES) and touch.values:
            return  # each of them is filled
        assert self._schema is not None
        if filled(value_of(self._before, field, self._schema)) and not filled(
            value_of(self._after, field, self._schema)
        ):
            raise _Denied(EMPTIED, field)

    def _check_moves(self, root: str, field: str, spec: FieldSpec, touch: Touch, values: Sequence[object]) -> None:
        """From what was superseded, or else from what is shown, in as many steps as were written."""
        held = self._held(root)
        if not held:
            return
        gone = held
        if 0 < touch.removed < len(held):
            kept = {canonical(entry) for entry in _list(self._after, root)}
            gone = [entry for entry in held if canonical(entry) not in kept]
        present = spec.rules.ordered(gone or held, spec, None)[0][0]
        if present not in spec.states:
            return  # of a newer schema
        allowed = {*reachable(spec, present, touch.items), *(entry[0] for entry in held)}
        if any(value not in allowed for value in values):
            raise _Denied(NO_MOVE, field)

    # --- what is no field ------------------------------------------------------------------------------------

    def _deletion(self, touch: Touch) -> None:
        held = [entry for entry in self._held(DELETED_ROOT) if isinstance(entry[0], str)]
        told: list[Mapping[int, int]] = []
        for entry in touch.values:
            if not is_entry(entry) or not (entry[0] is None or isinstance(entry[0], str)):
                raise _Denied(UNTOLD, "_deleted")
            operation: Operation = "restore" if entry[0] is None else "delete"
            self._does("", operation)
            self._by(entry[2], "", operation)
            if isinstance(entry[0], str):
                told.append(seen_by(entry[0]))
        if told and not vectors.dominates(self._known(), vectors.merged(*told)):
            raise _Denied(UNSEEN)
        if touch.removed and held:
            seen = vectors.merged(*(seen_by(str(entry[0])) for entry in held))
            if not told or not vectors.dominates(vectors.merged(*told), seen):
                self._does("", "restore")
        if touch.items and not touch.values:  # written and taken back
            self._does("", "delete")

    def _known(self) -> Mapping[int, int]:
        try:
            return known_to(self._after)
        except UpdateRefused:
            raise _Denied(UNTOLD) from None

    def _memory(self, root: str, read: _Read, *operations: Operation) -> None:
        """What sources or people are remembered to have said: of the fields of which that changes."""
        before, after = _list(self._before, root), _list(self._after, root)
        for entry in _left(after, before):
            if not is_entry(entry) or read(entry) is None:
                raise _Denied(UNTOLD, root[2:])
            if entry[2] not in {each[2] for each in before if is_entry(each)}:  # who decides writes them again
                self._by(entry[2], "", operations[0])
        said = _said(read, before), _said(read, after)
        for field in sorted(said[0].keys() | said[1].keys()):
            was, now = (each.get(field, _NOBODY_SAYS) for each in said)
            if field == COLUMNS:
                self._does("", *(operations if now <= was else operations[:1]))
            elif was != now:
                self._field(field, *operations)
        if not any(grant.write for grant in self._access.grants):  # what is remembered is of fields, if of none here
            raise _Denied(NOT_WRITABLE.format(user=_named(self._user)), root[2:])
        self._does("", *operations)

    def _held(self, root: str) -> list[Entry]:
        return well_formed(_list(self._before, root))


def _may_import(rights: Rights) -> bool:
    return any("import" in rights.possible(collection) for collection in rights.grants)


def _list(document: Document, root: str) -> list[object]:
    with document.transaction() as transaction:
        held = document.content(transaction, root)
    return held if isinstance(held, list) else []


def _left(some: Sequence[object], but: Sequence[object]) -> list[object]:
    """Those of `some` that are not in `but`, each as often as it is there more."""
    rest = [canonical(each) for each in but]
    left = []
    for each in some:
        if (told := canonical(each)) in rest:
            rest.remove(told)
        else:
            left.append(each)
    return left


def _said_by_source(entry: object) -> Mapping[str, object] | None:
    source = parse_entry(entry)
    return None if source is None else source.said


def _said_by_person(entry: object) -> Mapping[str, object] | None:
    return said_of(entry) or None


def _said(read: _Read, entries: Sequence[object]) -> dict[str, set[str]]:
    said: dict[str, set[str]] = {}
    for entry in entries:
        for field, value in (read(entry) or {}).items():
            if field != SEEN:
                said.setdefault(field.removeprefix(REMOVED), set()).add(canonical(value))
    return said


def _short(value: object) -> object:
    return value[: FILTER_VALUE_LENGTH_MAX + 1] if isinstance(value, str) else value


def _named(user: str) -> str:
    return repr(user[:_NAME_LENGTH_MAX])
