"""Which encoding a text file is in, and strict decoding in bounded memory.

UTF-8 and UTF-16 are certain: a byte order mark, valid UTF-8 to the end, or the zero bytes of UTF-16. (But for a few
Chinese characters that happen to be valid UTF-8: there they are letters of several scripts in one word.) Of the old
encodings, GB18030 and cp1252 are told apart by the bytes themselves, because statistics fail on short texts: nearly
every character of Chinese text lies in the first level of GB 2312 (lead byte B0-D7, trail byte A1-FE), and the accents
of cp1252 stand alone among ASCII letters. Korean lies there too, but in its first half alone, where half of Chinese is
not, and its frequent syllables are others. What is none of these goes to charset-normalizer, whose guess is taken for
GB18030 and cp1252, and offered as advice for any other.
"""

from __future__ import annotations

import codecs
import re
import unicodedata
from collections.abc import Callable, Iterator
from typing import BinaryIO

from nbllm.errors import DataError

CHUNK = 1 << 20  # bytes read at a time
SAMPLE = 1 << 16  # bytes that a guess looks at

_MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_BROKEN_UTF8 = (
    8  # so many valid multi-byte characters before the first fault: UTF-8 that was damaged, no other encoding
)
_PAIR = re.compile(rb"[\x81-\xfe][\x40-\x7e\x80-\xfe]")
_COMMON_PAIR = re.compile(rb"[\xa1-\xa3\xb0-\xd7][\xa1-\xfe]")
_HANGUL = re.compile(rb"[\xb0-\xc8][\xa1-\xfe]")  # of EUC-KR, and the hanzi from a to q of GB 2312
_HANZI = re.compile(rb"[\xc9-\xf7][\xa1-\xfe]")  # the other hanzi of GB 2312
_CHINESE_MARKS = {mark.encode("gb18030") for mark in "、。，：；？！"}
# The most frequent of either language.
_SYLLABLES = "이다는의가에을하고로은지한를기사도어자시서나인대라아들있해수리그여보정부주장과만전게니면세상성구동원"
_CHARACTERS = (
    "的了人不国个大到地道出而就可得和来们你年能那会发对多家好起成没面么看里过还都分后开两明民名前去全然日如本把被比别部常"
    "长车从但当点定动度法方放高给更工公关光果话回活几加间见叫进经军口快理路马每美门内女平期其气情亲请权让认三色"
)
_FREQUENT = ((_SYLLABLES, "euc_kr"), (_CHARACTERS, "gb18030"))
_FEWEST_SYLLABLES = 6
_SCRIPTS = {"LATIN", "GREEK", "CYRILLIC", "ARMENIAN", "HEBREW", "ARABIC", "SYRIAC", "THAANA", "NKO"}


def find_encoding(opener: Callable[[], BinaryIO], name: str, most: int | None = None) -> str:
    """Name of the codec that reads the whole file, or its first `most` bytes. Raises DataError for a binary file or an
    unknown encoding."""
    with opener() as stream:
        head = stream.read(SAMPLE)
    for mark, codec in _MARKS:
        if head.startswith(mark):
            return codec
    if is_binary(head):
        raise DataError(f"{name} is a binary file, not text.", "Give a text file, a table, a .gz or a .zip of them.")
    if b"\x00" in head:
        return _utf16_without_mark(head) or "utf-16"
    return _scan(opener, name, most)


def is_binary(head: bytes) -> bool:
    """Whether the first bytes of a file rule text out: zero bytes that are not UTF-16's, or many control characters."""
    if any(head.startswith(mark) for mark, _ in _MARKS):
        return False
    if b"\x00" in head:
        return _utf16_without_mark(head) is None
    control = head.translate(None, bytes(range(32, 256)) + b"\t\n\r\f\x1b")
    return len(control) > len(head) / 20


def decode_stream(stream: BinaryIO, encoding: str, name: str) -> Iterator[str]:
    """Text in pieces of about a megabyte. Raises DataError that names the byte and its offset."""
    try:
        decoder = codecs.getincrementaldecoder(encoding)()
    except LookupError:
        raise DataError(f"There is no encoding '{encoding}'.", "Try utf-8, gb18030, cp1252 or utf-16.") from None
    offset = 0
    while True:
        chunk = stream.read(CHUNK)
        held = decoder.getstate()[0]
        held_length = len(held) if isinstance(held, bytes) else 0
        try:
            text = decoder.decode(chunk, final=not chunk)
        except UnicodeDecodeError as error:
            at = offset - held_length + error.start
            raise _fault(name, error.object[error.start], at, encoding, "cp1252") from None
        offset += len(chunk)
        if text:
            yield text
        if not chunk:
            return


def _scan(opener: Callable[[], BinaryIO], name: str, most: int | None) -> str:
    """UTF-8 when all that is looked at is valid; otherwise a guess from the text around the first fault."""
    decoder = codecs.getincrementaldecoder("utf-8")()
    offset, wide, before = 0, 0, b""
    with opener() as stream:
        while True:
            chunk = stream.read(CHUNK)
            held = decoder.getstate()[0]
            try:
                text = decoder.decode(chunk, final=not chunk)
            except UnicodeDecodeError as error:
                whole = held + chunk
                wide += _count_wide(whole[: error.start].decode("utf-8"))
                at, byte = offset - len(held) + error.start, whole[error.start]
                if wide >= _BROKEN_UTF8:
                    raise _fault(name, byte, at, "utf-8", "gb18030") from None
                return _guess(_around(before + chunk, len(before) - len(held) + error.start), name, byte, at)
            wide += _count_wide(text)
            if not chunk:
                return "gb18030" if 2 <= wide < _BROKEN_UTF8 and offset <= SAMPLE and _mixed(before) else "utf-8"
            offset += len(chunk)
            before = chunk[-SAMPLE:]
            if most is not None and offset >= most:
                return "utf-8"


def _around(data: bytes, fault: int) -> bytes:
    """The text about a fault, from the start of its line; whole lines where it is cut short."""
    start = data.rfind(b"\n", 0, fault) + 1
    sample = data[start : start + SAMPLE]
    cut = sample.rfind(b"\n", fault - start)
    return sample[:cut] if len(data) > start + SAMPLE and cut > 0 else sample


def _count_wide(text: str) -> int:
    return 0 if text.isascii() else sum(map(len, re.findall(r"[^\x00-\x7f]+", text)))


def _guess(sample: bytes, name: str, byte: int, offset: int) -> str:
    pairs = _PAIR.findall(sample)
    common = sum(1 for pair in pairs if _COMMON_PAIR.fullmatch(pair))
    if _is_korean(pairs):
        raise _fault(name, byte, offset, "utf-8", "cp949")
    if pairs and common > 0.7 * len(pairs) and _decodes(sample, "gb18030"):
        return "gb18030"
    high = sum(1 for b in sample if b >= 0x80)
    letters = sum(1 for b in sample if b >= 0xC0 or (b < 0x80 and chr(b).isalpha()))
    if high <= 0.5 * letters and _decodes(sample, "cp1252"):
        return "cp1252"
    from charset_normalizer import from_bytes

    best = from_bytes(sample).best()
    codec = best.encoding if best else "cp1252"
    if best and codec in ("gb18030", "gbk", "gb2312"):
        return "gb18030"
    if best and codec == "cp1252":
        return codec
    raise _fault(name, byte, offset, "utf-8", codec)


def _is_korean(pairs: list[bytes]) -> bool:
    """Whether double bytes are Korean syllables (EUC-KR) rather than Chinese: told from six of them on."""
    syllables = [pair for pair in pairs if _HANGUL.fullmatch(pair)]
    others = sum(1 for pair in pairs if _HANZI.fullmatch(pair) or pair in _CHINESE_MARKS)
    if len(syllables) < _FEWEST_SYLLABLES or others > len(syllables) / 20:
        return False
    korean, chinese = ({each.encode(codec) for each in known} for known, codec in _FREQUENT)
    return sum(pair in korean for pair in syllables) > sum(pair in chinese for pair in syllables)


def _mixed(data: bytes) -> bool:
    """Whether valid UTF-8 is rather Chinese in GB18030: letters of several scripts, or of none, within one word."""
    if not all(_COMMON_PAIR.fullmatch(pair) for pair in _PAIR.findall(data)):
        return False
    for before, word in re.findall(r"([A-Za-z]?)([^\x00-\x7f]{2,})", data.decode("utf-8")):
        names = {unicodedata.name(letter, "UNASSIGNED").partition(" ")[0] for letter in word}
        accents_nothing = not before and unicodedata.combining(word[0])
        if accents_nothing or "UNASSIGNED" in names or len(names & _SCRIPTS) > 1:
            return True
    return False


def _decodes(sample: bytes, codec: str) -> bool:
    try:
        codecs.getincrementaldecoder(codec)().decode(sample)
    except UnicodeDecodeError:
        return False
    return True


def _utf16_without_mark(head: bytes) -> str | None:
    """UTF-16 writes ASCII as one zero byte and one other: all zeros stand at even, or all at odd places."""
    even, odd = head[0::2].count(0), head[1::2].count(0)
    if bool(even) == bool(odd):
        return None
    codec = "utf-16-be" if even else "utf-16-le"
    text = head[: len(head) // 2 * 2].decode(codec, errors="replace")
    strange = sum(1 for c in text if c == "\ufffd" or (ord(c) < 32 and c not in "\t\n\r\f"))
    return codec if strange <= len(text) / 100 else None


def _fault(name: str, byte: int, offset: int, encoding: str, instead: str) -> DataError:
    return DataError(
        f"{name} is not {encoding}: byte 0x{byte:02X} at offset {offset:,} does not fit.",
        f"Name its encoding, as in encoding: {instead} (or --encoding {instead}).",
    )
