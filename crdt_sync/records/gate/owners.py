"""Whose writers are: nobody goes on under the writer id of another user's device.

A writer id is one life of one device. Whoever uses up operations of somebody else's makes what that device writes next
be taken for what is here already. So a host remembers who each writer belongs to:

1. A writer belongs to the first user who writes an entry of his own under it. What somebody brings of others binds
   nothing, nor do operations that name nobody (texts, counters, sets).
2. Under the writer of another user nobody writes an entry, but what names that user: it was brought, and is judged as
   such, see `permitted`.
3. What sources and beginnings are remembered to have said does not count: who decides writes it again as it was.

Who judges holds some of them at hand and asks its host for others.
"""

from collections.abc import Collection, Mapping
from typing import Final

from crdt_sync.limits import WRITERS_ASKED_MAX, WRITERS_KNOWN_MAX
from crdt_sync.records.entries import is_entry
from crdt_sync.records.roots import ARRAY_PREFIXES, MEMORY_ROOTS
from crdt_sync.records.updates.lists import Lists
from crdt_sync.records.updates.update import Item
from crdt_sync.records.updates.written import written

NOBODY: Final = ""
WRITER: Final = "_writer"
"""What a refusal names in the place of a field that is of a writer id, not of what was written."""
TAKEN: Final = f"{WRITER}: writer {{writer}} is another user's device"


class Owners:
    """Of some writers whose they are, `NOBODY` of those that nobody has written under yet.

    `asked` are writers of which nothing is known here: `tell` whose they are, and have the update judged again. `bound`
    are those that came to be somebody's since it was taken last.
    """

    __slots__ = ("_bound", "_known", "asked")

    def __init__(self, known: Mapping[int, str] = {}) -> None:
        self._known = dict(known)
        self._bound: dict[int, str] = {}
        self.asked: set[int] = set()

    @property
    def known(self) -> Mapping[int, str]:
        """What is known of now."""
        return self._known

    def tell(self, told: Mapping[int, str], *, anew: bool = False) -> None:
        """These belong to these users. With `anew` all that was known before is forgotten, as it may not be stored."""
        if anew or len(self._known) + len(told) > WRITERS_KNOWN_MAX:
            self._known.clear()
        self._known |= told
        self.asked.clear()

    def bind(self, writer: int, user: str) -> None:
        """From now on a writer that was nobody's belongs to a user."""
        self._known[writer] = self._bound[writer] = user

    def take_bound(self) -> dict[int, str]:
        """`bound`, to be stored by the host; it is empty then."""
        bound, self._bound = self._bound, {}
        return bound

    def give_up(self) -> None:
        """What was bound since is not stored."""
        for writer in self.take_bound():
            del self._known[writer]

    def are_known(self, writers: Collection[int]) -> bool:
        """Whether something is known of all of these; the rest is `asked`, as far as there is room in one request."""
        missing = [writer for writer in writers if writer not in self._known]
        self.asked.update(missing[: max(0, WRITERS_ASKED_MAX - len(self.asked))])
        return not missing


def refusal(strange: Collection[int], owners: Owners, authors: Mapping[int, Collection[str]]) -> str:
    """Why an update may not write under one of these writers, which are not its user's; empty where it may.

    `authors` are those whom its entries under each of them name.
    """
    for writer in sorted(strange):
        owner = owners.known[writer]
        if owner != NOBODY and any(author != owner for author in authors.get(writer, ())):
            return TAKEN.format(writer=writer)
    return ""


def bind(strange: Collection[int], owners: Owners, authors: Mapping[int, Collection[str]], user: str) -> None:
    """The update was let in: of these writers those become its user's under which it wrote that one's entries alone."""
    for writer in strange:
        if owners.known[writer] == NOBODY and user and set(authors.get(writer, ())) == {user}:
            owners.bind(writer, user)


def authors_of(update: bytes, fresh: Collection[Item], lists: Lists) -> dict[int, set[str]]:
    """Whom the new entries of an update name, by the writer of each; `lists` has where they stand."""
    found: dict[int, set[str]] = {}
    values = written(update)
    for item in fresh:
        if item.deleted or item.text:
            continue
        root = lists.name((item.writer, item.clock)).root
        if root[:2] in ARRAY_PREFIXES and root not in MEMORY_ROOTS:
            named = [value[2] for value in values[item.writer, item.clock] if is_entry(value)]
            found.setdefault(item.writer, set()).update(named)
    return found
