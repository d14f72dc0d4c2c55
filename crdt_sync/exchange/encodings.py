"""Finding the encoding of a text that does not say it: strict decoding, and whether people write what comes out.

UTF-8 proves itself. Of the older encodings each is tried on the lines that are not UTF-8; one is taken only when it
alone gives text that is plausible in its script, and the caller tells so. Otherwise the file is refused with what each
would give. The byte ranges are those of the characters in common use, which the standards list first.
"""

import codecs
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import IO

from crdt_sync.errors import InvalidTable

_MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),  # before UTF-16, whose mark is a prefix of it
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_CHUNK_BYTES = 1 << 16
_SAMPLE_BYTES = 1 << 14  # of lines that are not UTF-8: thousands of characters tell enough
_COMMON = 0.9  # share of the characters that must be in common use
_ODD = 0.05  # share of the words in which capitals may stand where they rarely do
_SHIFTS_TO_KANJI = re.compile(rb"\x1b\$[@B]")
_NARROW = ("euc_kr", "euc_jp")  # whose common characters are part of those of GB18030, the narrower first
_EXCERPT_LENGTH = 40  # characters


@dataclass(frozen=True, slots=True)
class Encoding:
    """A codec, and how it is known: `given` by the caller, by a byte order `mark`, `utf-8`, or `guessed`."""

    codec: str
    how: str

    @property
    def guessed(self) -> bool:
        """Whether it was found by what the text looks like."""
        return self.how == "guessed"


def find_encoding(stream: IO[bytes], wanted: str | None, name: str = "the file") -> Encoding:
    """The encoding of `stream`, which is read to its end; open the source again for the content.

    Raises `InvalidTable` for an unknown codec, and for a text of an encoding that cannot be told, with what each
    candidate would give.
    """
    if wanted is not None:
        try:
            return Encoding(codecs.lookup(wanted).name, "given")
        except (LookupError, ValueError):
            raise InvalidTable(
                f"there is no encoding {wanted!r}",
                "Usual ones: utf-8, utf-16, cp1252, gb18030, big5, shift_jis, euc_kr, cp1251.",
            ) from None
    first = stream.read(_CHUNK_BYTES)
    for mark, codec in _MARKS:
        if first.startswith(mark):
            return Encoding(codec, "mark")
    if (wide := _wide(first)) is not None:
        return Encoding(wide, "guessed")
    if first.isascii() and _SHIFTS_TO_KANJI.search(first):
        return Encoding("iso2022_jp", "guessed")
    sample, proven = _not_utf8(first, stream)
    if not sample or proven:  # where some lines are proven UTF-8, the others are broken, and named row by row
        return Encoding("utf-8", "utf-8")
    candidates = _candidates(sample)
    if not candidates:
        return Encoding("utf-8", "utf-8")  # nothing better: its broken lines are named row by row
    if len(candidates) == 1:
        return Encoding(candidates[0], "guessed")
    raise InvalidTable(
        f"{name!r} is not UTF-8, and its encoding cannot be told: " + "; ".join(_shown(sample, candidates)),
        f"Choose the one that reads right, for example --encoding {_likeliest(candidates)}.",
    )


def read_as_western(line: bytes) -> str | None:
    """What a line that is not UTF-8 reads in cp1252, if that may be text: no two letters with an accent in a row."""
    try:
        text = line.decode("cp1252").strip()
    except UnicodeDecodeError:
        return None
    return text if _WESTERN_LINE.fullmatch(text) else None


def _wide(start: bytes) -> str | None:
    """UTF-16 without a mark: of text that is ASCII in part, every second byte is NUL."""
    even, odd = start[0::2], start[1::2]
    if not odd:
        return None
    zeros_even, zeros_odd = even.count(0) / len(even), odd.count(0) / len(odd)
    for codec, high, low in (("utf-16-le", zeros_odd, zeros_even), ("utf-16-be", zeros_even, zeros_odd)):
        if high > 0.3 and low == 0:
            try:
                text = start[: len(start) // 2 * 2].decode(codec, "strict" if len(start) < _CHUNK_BYTES else "ignore")
            except UnicodeDecodeError:
                continue
            if "\x00" not in text:
                return codec
    return None


def _not_utf8(first: bytes, stream: IO[bytes]) -> tuple[bytes, bool]:
    """The first lines that are not UTF-8, and whether any other line holds what is surely UTF-8."""
    sample: list[bytes] = []
    size, proven = 0, False
    for line in _lines(first, stream):
        if line.isascii():
            continue
        try:
            line.decode("utf-8")
        except UnicodeDecodeError:
            if size < _SAMPLE_BYTES:
                sample.append(line)
                size += len(line)
        else:
            proven = True
        if proven and sample:
            break
    return b"".join(sample), proven


def _lines(first: bytes, stream: IO[bytes]) -> Iterator[bytes]:
    """Lines with their ends, cut at the length of a chunk: only their bytes are looked at."""
    rest = first
    while rest:
        more = stream.read(_CHUNK_BYTES)
        lines = rest.splitlines(keepends=True)
        rest = lines.pop() if more and len(lines[-1]) < 16 * _CHUNK_BYTES else b""
        yield from lines
        rest += more


def _candidates(sample: bytes) -> list[str]:
    found = []
    texts = set()
    for codec, plausible in _TRIALS:
        try:
            text = sample.decode(codec)
        except UnicodeDecodeError:
            continue
        if plausible(sample, text) and text not in texts:
            texts.add(text)
            found.append(codec)
    # What one-byte encodings of the same script give differs in single letters; the more usual one stands first.
    return [codec for codec in found if not (codec == "cp1250" and "cp1252" in found)]


def _likeliest(candidates: list[str]) -> str:
    """The narrowest: what was written in it reads in the wider ones, too, and the reverse is rare; else the first."""
    return next((codec for codec in _NARROW if codec in candidates), candidates[0])


def _double_byte(codec: str, common: re.Pattern[bytes]) -> Callable[[bytes, str], bool]:
    def plausible(_: bytes, text: str) -> bool:
        wide = [character for character in text if not character.isascii()]
        if not wide or any(0xE000 <= ord(character) <= 0xF8FF for character in wide):
            return False
        usual = sum(common.fullmatch(character.encode(codec)) is not None for character in wide)
        # Letters of these scripts follow each other or stand alone; inside a Latin word they are no text.
        inside = len(re.findall(r"[a-z][^\x00-\x7f][a-z]", text))
        return usual >= _COMMON * len(wide) and inside == 0

    return plausible


_WESTERN = "äöüÄÖÜßàâáãåæçèéêëìíîïñòóôõøœùúûýÿÀÂÁÃÅÆÇÈÉÊËÌÍÎÏÑÒÓÔÕØŒÙÚÛÝšžŠŽ"
_CENTRAL = "ąćęłńóśźżĄĆĘŁŃÓŚŹŻáčďéěíňřšťúůýžÁČĎÉĚÍŇŘŠŤÚŮÝŽäöüÄÖÜßőűŐŰâăîșțşţĂÂÎŞŢđĐ"
_ALONE = "äöüÄÖÜßåÅæÆøØñÑàÀéÉ"  # of these, what people write as a word, an initial or a mark; 'ÿ' is a byte of anything
_SIGNS = "€£¥§°©®™«»„“”‚‘’–—…·´¿¡½²³\xa0"


_WESTERN_LINE = re.compile(rf"(?:[\x00-\x7f]|[{_WESTERN}](?![{_WESTERN}])|[{_SIGNS}])*")
_TURKISH = "çğıöşüÇĞİÖŞÜâîûÂÎÛ"


def _latin(letters: str, *, strict: bool = False, alone: str = "") -> Callable[[bytes, str], bool]:
    """Whether the foreign characters are those `letters` or signs; where `strict`, no signs alone or in words.

    Some stand in a word with Latin letters, or all of them are one of `alone` that stands by itself.
    """

    def plausible(_: bytes, text: str) -> bool:
        foreign = [character for character in text if not character.isascii()]
        if any(character not in letters and character not in _SIGNS for character in foreign):
            return False
        words = [word for word in re.findall(r"[^\W\d_]+", text) if not word.isascii()]
        if not words:
            return not strict and all(character in _SIGNS for character in foreign)
        if strict and _SIGN_IN_WORD.search(text):
            return False
        odd = sum(not word.isupper() and _ACCENTED_CAPITAL.search(word, 1) is not None for word in words)
        if odd > _ODD * len(words):  # 'cafÈ' and 'MÅller' are no words
            return False
        if all(word in alone for word in words):
            return True
        # A word has Latin letters around its accents; in text of another encoding accents follow each other.
        accents = [sum(not character.isascii() for character in word) for word in words]
        return all(count <= 3 or 2 * count <= len(word) for count, word in zip(accents, words, strict=True)) and any(
            len(word) > count for count, word in zip(accents, words, strict=True)
        )

    return plausible


_SIGN_IN_WORD = re.compile(r"[^\W\d_][£¥§°©®™´·„”¿¡]|[£¥§°©®™´·][^\W\d_]")
_ACCENTED_CAPITAL = re.compile(r"[À-ÖØ-ÞĀĂĄĆČĎĐĒĘĚĞĪĹŁŃŇŐŒŔŘŚŠŞŢŤŪŮŰŹŻŽİ]")
_GREEK = "ΑΒΓΔΕΖΗΘΙΚΛΜΝΞΟΠΡΣΤΥΦΧΨΩΆΈΉΊΌΎΏΪΫαβγδεζηθικλμνξοπρσςτυφχψωάέήίόύώϊϋΐ"  # ΰ is as good as never written
_HEBREW = "אבגדהוזחטיךכלםמןנסעףפץצקרשת"


def _alphabet(letters: str) -> Callable[[bytes, str], bool]:
    """Whether the foreign words are of those `letters` alone, with capitals as people write them."""

    def plausible(_: bytes, text: str) -> bool:
        foreign = [character for character in text if not character.isascii() and character not in _SIGNS]
        if not foreign or any(character not in letters for character in foreign):
            return False
        words = [word for word in re.findall(r"[^\W\d_]+", text) if not word.isascii()]
        # No word mixes two alphabets; capitals stand at its start, or everywhere in it.
        return all(
            re.search("[A-Za-z]", word) is None and (word == word.upper() or word[1:] == word[1:].lower())
            for word in words
        ) and any(len(word) > 2 for word in words)

    return plausible


_CYRILLIC = "".join(map(chr, range(ord("А"), ord("я") + 1))) + "ЁёІіЇїЄєҐґЎў№"

_TRIALS: tuple[tuple[str, Callable[[bytes, str], bool]], ...] = (
    ("gb18030", _double_byte("gb18030", re.compile(rb"[\xb0-\xd7][\xa1-\xfe]|[\xa1\xa3][\xa1-\xfe]"))),
    ("big5", _double_byte("big5", re.compile(rb"[\xa4-\xc6][\x40-\x7e\xa1-\xfe]|[\xa1-\xa3][\x40-\x7e\xa1-\xfe]"))),
    (
        "cp932",
        _double_byte(
            "cp932",
            re.compile(rb"\x82[\x4f-\xf1]|\x83[\x40-\x96]|\x81[\x40-\xfc]|[\x88-\x97][\x40-\xfc]|\x98[\x40-\x72]"),
        ),
    ),
    (
        "euc_jp",
        _double_byte("euc_jp", re.compile(rb"[\xb0-\xcf][\xa1-\xfe]|[\xa1\xa3-\xa5][\xa1-\xfe]|\x8e[\xa1-\xdf]")),
    ),
    ("euc_kr", _double_byte("euc_kr", re.compile(rb"[\xb0-\xc8][\xa1-\xfe]|[\xa1\xa3][\xa1-\xfe]"))),
    ("cp1252", _latin(_WESTERN, alone=_ALONE)),
    ("cp1251", _alphabet(_CYRILLIC)),
    ("cp1250", _latin(_CENTRAL)),
    ("cp1254", _latin(_TURKISH)),
    ("cp1253", _alphabet(_GREEK)),
    ("cp1255", _alphabet(_HEBREW)),
    ("mac_roman", _latin(_WESTERN, strict=True)),
)


def _shown(sample: bytes, codecs_tried: list[str]) -> Iterator[str]:
    line = next(each for each in sample.splitlines() if not each.isascii())
    for codec in codecs_tried:
        text = line.decode(codec, "replace").strip()
        start = next((at for at, character in enumerate(text) if not character.isascii()), 0)
        yield f"as {codec} a line of it reads {text[max(0, start - 5) :][:_EXCERPT_LENGTH]!r}"
