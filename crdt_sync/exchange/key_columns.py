"""Which columns identify a row, found in the table itself: a number or id, else the e-mail address, else the phone.

Such a column counts when most rows have it and no two different rows have the same. A number counts, too, where a few
rows lack it or repeat it by mistake: the latter are errors, as with a key that was given, while another column would
make everybody anew once it is edited. Without a key, a row that was edited in the table cannot be told from a new one.
Rows of sums, which say no key, are no rows here.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from crdt_sync.errors import KeyNeeded
from crdt_sync.exchange.lost_digits import is_rounded
from crdt_sync.exchange.mapping import ColumnMapping
from crdt_sync.exchange.names import loose
from crdt_sync.exchange.table import MISSING, BrokenCell, Cell, Row, RowError, Table
from crdt_sync.exchange.total_row import is_of_sums, is_word_of_sums
from crdt_sync.exchange.whole_rows import text_of
from crdt_sync.records.comparing import folded

_ID_SHARE_MIN = 0.9  # of the rows: a number that identifies is rarely missing
_CONTACT_SHARE_MIN = 0.5
_REPEATED_SHARE_MAX = 0.05  # of the rows, but always one: doubled by mistake; more belong to something else
_ROWS_MIN = 3  # of which one may lack it or be doubled: of two with one number nothing tells what it numbers
_VALUE_LENGTH = 40  # characters that are shown

_ID_WORDS = frozenset({"id", "uid", "uuid", "guid", "nr", "no", "nummer", "number", "num", "nbr", "key"})
_OTHER_NUMBERS = re.compile(
    r"(tele)?phone|telefon|tel|mobile?|mobil|handy|cell|fax|house|haus|street|postal|zip|plz|order|bestell\w*|invoice"
    r"|rechnungs?\w*|vat|tax|ust|steuer\w*|iban|bank|parent|owner|associated|company|account|line|row|zeile|of|employees"
    r"|apt|apartment|unit|suite|room|floor|ext|extension|box"
)
_IDS = re.compile(
    r"(record|contact|customer|client|person|lead|member|kunden)?id|nr|no|(customer|client|member)(no|nr|number|code|ref|reference)"
    r"|kdnr|kundenn(r|ummer)|debitor(en)?(nr|nummer)?|mitgliedsn(r|ummer)|(客户|会员)?编号|客户id|会员号|顧客番号"
)
_IDS_ELSEWHERE = re.compile(  # as _IDS, in languages that name the customer last, or in one word
    r"(n|no|nr|num|numero|numer|cod|code|codigo|codice|kod|ref|reference|referencia|id|identifi(ant|cador|cativo))"
    r"(de|del|di|du|do|da|d)?(client[ea]?|klienta|adherent|membre|abonne|contact|conta(c?to|tto)|socio|miembro|membro)"
    r"|numero|code|codigo|codice|identifiant|matricul[ea]|matricola"
    r"|(klant(en)?|relatie|debiteur(en)?|lid|kund(e|en|s)?|medlems|asiakas)(nummer|nr|numero|code|id)"
    r"|номерклиента|кодклиента|(会員|お客様)番号|顧客コード"
)
_ACCOUNTS = re.compile(r"(customer|client)?account(no|nr|num|number)")  # of customers, or of what they belong to
_NUMBER_SIGN = re.compile(r"(?<=[\w.])\s*[#№]")  # alone, it counts lines
_EMAIL = re.compile(r"e?mail|邮箱|邮件|メール")
_PHONE = re.compile(r"phone|telefon|mobil|handy|电话|手机|電話|携帯")
_LABEL = re.compile(r"[-\s](type|label)\s*$", re.IGNORECASE)  # "E-mail 1 - Type" names a kind of address
_WORD = re.compile(r"[A-Z]?[^\W\d_A-Z]+|[A-Z]+(?![a-z])|\d+")


@dataclass(frozen=True, slots=True)
class FoundKey:
    """The columns that identify rows; none where no column does.

    `passed_over` has the first row that speaks against each column that would do rather: `repeated` where it has the
    value of an earlier row, `incomplete` where it has none, as too many others.
    """

    positions: tuple[int, ...]
    passed_over: tuple[RowError, ...] = ()


def find_key(table: Table, mapping: ColumnMapping) -> FoundKey:
    """See the module; reads the table once. Raises `KeyNeeded` where several columns could be meant."""
    columns = table.columns
    tiers = [
        [position for position, header in enumerate(columns) if is_number(header)],
        [position for position, header in enumerate(columns) if _is(_EMAIL, header, mapping.fields[position])],
        [position for position, header in enumerate(columns) if _is(_PHONE, header, mapping.fields[position])],
    ]
    counts = {position: _Count() for tier in tiers for position in tier}
    if not counts:
        return FoundKey(())
    rows = _count(table, counts)
    passed_over: list[RowError] = []
    for tier, share in zip(tiers, (_ID_SHARE_MIN, _CONTACT_SHARE_MIN, _CONTACT_SHARE_MIN), strict=True):
        usable = [position for position in tier if counts[position].identifies(rows, share, unread=tier is tiers[0])]
        against = [each for at in tier if (each := counts[at].against(columns[at], rows, share)) is not None]
        if tier is tiers[0]:
            if not usable:
                usable = [position for position in tier if counts[position].nearly_identifies(rows, share)]
            usable = _plainest(columns, usable) if len(usable) > 1 else usable
            repeated = [each for each in against if each.code == "repeated"]
            passed_over += [each for each in repeated if each.column != columns[usable[0]]] if usable else against
        if usable:
            return FoundKey((usable[0],), tuple(passed_over))
        passed_over += against if tier is not tiers[0] else ()
    return FoundKey((), tuple(passed_over))


@dataclass(slots=True)
class _Count:
    filled: int = 0
    broken: int = 0  # cells whose value is there, but not in the file: of a formula without its result
    repeats: int = 0  # rows with the value of an earlier one, and other cells
    first: tuple[int, str] = (0, "")  # of them: its line and the value
    first_without: int = 0  # the line of the first row without a value
    rows: dict[int, int] = field(default_factory=dict)  # hash of a value to that of its row

    def identifies(self, rows: int, share: float, *, unread: bool) -> bool:
        """Whether the column can be the key; with `unread`, cells that cannot be read count: their rows are refused."""
        filled = self.filled + (self.broken if unread else 0)
        return filled > 0 and filled >= share * rows and not self.repeats

    def nearly_identifies(self, rows: int, share: float) -> bool:
        """Whether it could be the key but for a few rows, which then are errors."""
        few = self.repeats <= max(1, _REPEATED_SHARE_MAX * rows)
        without = rows - self.filled - self.broken
        return rows >= _ROWS_MIN and self.filled > 0 and few and without <= max(1, (1 - share) * rows)

    def against(self, column: str, rows: int, share: float) -> RowError | None:
        """What speaks against a column as the key, if anything does and it is not all empty."""
        if self.repeats:
            line, value = self.first
            why = f"{value[:_VALUE_LENGTH]!r} was in an earlier row, with other cells"
            return RowError(line, column, "repeated", why)
        if not self.filled or self.filled + self.broken >= share * rows:
            return None
        why = f"{rows - self.filled - self.broken} of {rows} rows have no value"
        return RowError(self.first_without, column, "incomplete", why)


def _count(table: Table, counts: dict[int, _Count]) -> int:
    rows = 0
    for row in _readable(table):
        texts = {position: folded(_text(row.cells[position])) for position in counts}
        said = [text for text in texts.values() if text]
        if len(said) < 2 and all(map(is_word_of_sums, said)) and is_of_sums(row):
            continue
        rows += 1
        content: int | None = None
        for position, count in counts.items():
            text = texts[position]
            rounded = is_rounded(text)
            broken = rounded or isinstance(row.cells[position], BrokenCell)
            count.broken += broken
            if not (text or broken):
                count.first_without = count.first_without or row.line
            if not text or rounded:
                continue
            count.filled += 1
            content = hash(repr(row.cells)) if content is None else content
            if count.rows.setdefault(hash(text), content) != content:
                count.first = count.first if count.repeats else (row.line, text)
                count.repeats += 1
    return rows


def _readable(table: Table) -> Iterator[Row]:
    for row in table.rows():
        if isinstance(row, Row) and any(cell is not MISSING for cell in row.cells):
            yield row


def _plainest(columns: Sequence[str], usable: list[int]) -> list[int]:
    """The one that is called as ids of customers are, or that comes first of all. Raises `KeyNeeded`."""
    plain = [position for position in usable if _is_plain(columns[position])]
    for chosen in (plain, usable):
        if len(chosen) == 1 or (chosen and chosen[0] == 0):
            return chosen[:1]
    names = [columns[position] for position in plain or usable]
    raise KeyNeeded(tuple(names))


def _is_plain(header: str) -> bool:
    """Whether it is called as ids of customers are."""
    plain = loose(_NUMBER_SIGN.sub(" no", header).replace("°", "o"))  # as written for º in N°
    return bool(_IDS.fullmatch(plain) or _IDS_ELSEWHERE.fullmatch(plain))


def is_number(header: str) -> bool:
    """Whether a column of that header holds numbers or ids that some program gave, and another may give again."""
    header = _NUMBER_SIGN.sub(" no", header)
    words = [word.casefold() for word in _WORD.findall(header)]
    if _is_plain(header) or _ACCOUNTS.fullmatch(loose(header)):
        return True
    return bool(words) and words[-1] in _ID_WORDS and not any(map(_OTHER_NUMBERS.fullmatch, words))


def is_contact(header: str, field: str | None) -> bool:
    """Whether a column holds e-mail addresses or phones, which several people may share."""
    return _is(_EMAIL, header, field) or _is(_PHONE, header, field)


def names_a_customer(field: str) -> bool:
    """Whether equal values of a field speak for one customer: a name, an e-mail address, a phone."""
    plain = loose(field)
    return "name" in plain or bool(_EMAIL.search(plain) or _PHONE.search(plain))


def _is(pattern: re.Pattern[str], header: str, field: str | None) -> bool:
    if field is None and _LABEL.search(header):
        return False
    return bool(pattern.search(loose(header)) or (field is not None and pattern.search(loose(field))))


def _text(cell: Cell) -> str:
    if isinstance(cell, list) and cell and isinstance(cell[0], str):
        return cell[0]  # of several addresses the first is the customer's
    return "" if isinstance(cell, (list, dict, BrokenCell)) else text_of(cell)
