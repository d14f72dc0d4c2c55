"""What of a policy does not fit the schemas that it is to be used with."""

from collections.abc import Mapping, Sequence

from crdt_sync.ids import SECTION_MARK, is_collection, is_reserved, whole_collection
from crdt_sync.ids import section_of as ids_section_of
from crdt_sync.nearest import suggestion
from crdt_sync.policy.model import ALL, Grant, Policy, sees
from crdt_sync.policy.problems import Problem
from crdt_sync.policy.schemas import Collection, Field, section_of
from crdt_sync.policy.values import EMPTY, told
from crdt_sync.policy.watched import told as told_watched


def check(policy: Policy, schemas: Mapping[str, Collection]) -> list[Problem]:
    """All that does not fit, in the order of the text."""
    found: list[Problem] = []
    for role in policy.roles.values():
        for grant in role.grants:
            schema = schemas.get(grant.collection)
            if schema is not None:
                found += _grant_problems(grant, schema)
            elif not is_reserved(grant.collection):
                hint = suggestion(grant.collection, schemas, "collections")
                found.append(Problem(grant.line, f"there is no collection {grant.collection!r}", hint))
    return [*_watched(policy, schemas), *sorted(found, key=lambda problem: problem.line)]


def _watched(policy: Policy, schemas: Mapping[str, Collection]) -> list[Problem]:
    """Sections of which reads are to be told, and that there are none of."""
    found = []
    for name in sorted(policy.watched):
        schema = schemas.get(whole_collection(name))
        sections = {spec.section for spec in schema.fields.values() if spec.section} if schema is not None else set()
        if schema is not None and ids_section_of(name) not in sections:
            hint = suggestion(ids_section_of(name), sorted(sections), "sections")
            found.append(Problem(0, f"'reads': there is no section {told_watched(name)!r}", hint))
    return found


def _grant_problems(grant: Grant, schema: Collection) -> list[Problem]:
    found = [*_unknown(grant, schema), *_filters(grant, schema)]
    if ALL not in grant.read:
        hint = """Read "*" as well, and give what is not to be seen a section of its own in the schema."""
        message = "fields are read one by one, but whoever has a record has all of its fields that are in no section"
        found.append(Problem(grant.line, message, hint))
    for name in sorted(grant.masks.keys() & schema.fields.keys()):
        found += _of_mask(grant, name, schema.fields[name])
    for name in schema.fields:
        section = section_of(schema, name)
        if section and name in grant.read and name not in grant.masks:
            message = f"{name!r} is read by itself, and is in the section {section!r}, which goes as a whole"
            found.append(Problem(grant.line, message, f"Read {section!r}, or give {name!r} a section of its own."))
        written = name in grant.write or (section and section in grant.write)
        if written and not sees(grant, name, section):
            what = f"section {section!r}" if section and section in grant.write else repr(name)
            hint = f"Name {section!r} in 'read'." if section else "Name it in 'read' as well."
            found.append(Problem(grant.line, f"{what} is written, and not read", hint))
    return list(dict.fromkeys(found))


def _of_mask(grant: Grant, name: str, spec: Field) -> list[Problem]:
    if not spec.section:
        message = f"{name!r} is masked and in no section: whoever has the record has it whole"
        return [Problem(grant.line, message, "Give it one in the schema: a new field with 'section = \"...\"'.")]
    sections = sorted(grant.read - {ALL} - grant.masks.keys())
    if sections:
        message = f"{name!r} is masked, and a grant that masks gives no section, as {sections[0]!r}"
        return [Problem(grant.line, message, f"Read {', '.join(map(repr, sections))} in a grant of its own.")]
    if name not in grant.read:
        return [Problem(grant.line, f"{name!r} is masked, and not read", "Name it in 'read'.")]
    if not spec.can_mask:
        message = f"{name!r} is a {spec.kind}, of which no part can be shown"
        return [Problem(grant.line, message, "It is hidden whole: leave it out of 'read' and 'mask'.")]
    if not is_collection(SECTION_MARK.join((grant.collection, name, grant.masks[name]))):
        message = f"{name!r} is masked, and with the names of collection and mask that is more than 44 characters"
        return [Problem(grant.line, message, "Give the field a shorter name in the schema.")]
    return []


def _unknown(grant: Grant, schema: Collection) -> list[Problem]:
    sections = {spec.section for spec in schema.fields.values() if spec.section}
    known = [*schema.fields, *sorted(sections)]
    found = [
        Problem(
            grant.line,
            f"{what!r}: {grant.collection!r} has no field or section {name!r}",
            suggestion(name, known, "fields and sections"),
        )
        for what, names in (("read", grant.read), ("write", grant.write))
        for name in sorted(names)
        if name != ALL and name not in known
    ]
    found += [
        Problem(
            grant.line,
            f"'mask': {grant.collection!r} has no field {name!r}",
            suggestion(name, schema.fields, "fields"),
        )
        for name in sorted(grant.masks.keys() - schema.fields.keys())
    ]
    return found


def _filters(grant: Grant, schema: Collection) -> list[Problem]:
    found: dict[Problem, None] = {}
    for condition in (each for alternative in grant.where for each in alternative):
        spec = schema.fields.get(condition.field)
        if spec is None:
            message = f"'where': {grant.collection!r} has no field {condition.field!r}"
            hint = suggestion(condition.field, schema.fields, "fields")
        elif not spec.filter:
            message = f"'where': {condition.field!r} is no filter field of {grant.collection!r}"
            hint = (
                f"Add 'filter = true' to [fields.{condition.field}] in a newer version of the schema."
                if spec.can_filter
                else "Records are chosen by a value or stage that holds a text, choice, reference, number or truth."
            )
        elif problem := _never(condition.values, spec):
            message, hint = f"'where': {condition.field!r} {problem[0]}", problem[1]
        else:
            continue
        found[Problem(grant.line, message, hint)] = None
    return list(found)


def _never(values: Sequence[str], spec: Field) -> tuple[str, str] | None:
    """What a field can never show, and what may be meant."""
    words = [*spec.states, *spec.choices]
    for value in values:
        if value == EMPTY:
            continue
        fits = {
            "integer": value[:1] == " " and value[1:].lstrip("-").isdigit(),
            "boolean": value in (" true", " false"),
        }
        if not fits.get(spec.type, not value.startswith(" ")):
            return f"is of type {spec.type} and never shows {told(value)}", "Texts stand in quotes, numbers do not."
        if words and value not in words:
            return f"is never {told(value)}", suggestion(value, words, "values")
    return None
