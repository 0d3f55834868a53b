"""Old encodings are told apart, also in short texts; what fits nothing names its byte and offset."""

from __future__ import annotations

import codecs
from pathlib import Path

import pytest

from nbllm.data.sources import read_records
from nbllm.errors import DataError
from tests.data.conftest import CHINESE, ENGLISH, data

FRENCH = "Les élèves préféraient rêver à l'école. Ça coûte 5 €, déjà !"
SAMPLES = [
    *[(text, "utf-8") for text in ("plain", "é", "你", "😀 mixed 文 é", ENGLISH, CHINESE)],
    *[(text, "utf-8-sig") for text in ("plain", CHINESE)],
    *[(text, "utf-16") for text in ("plain", CHINESE, FRENCH)],
    *[(text, "utf-16-le") for text in ("plain text", CHINESE, FRENCH)],
    *[(text, "utf-16-be") for text in ("plain text", CHINESE)],
    *[(text, "utf-32") for text in ("plain text", CHINESE)],
    *[
        (text, "gb18030")
        for text in ("你好", "你", "语言模型", "你好，世界", "第1章 start\nabc 结束", CHINESE, CHINESE * 3000)
    ],
    *[(ENGLISH * 3000 + text, "gb18030") for text in ("你好，世界", "语言")],
    *[
        (text, "cp1252")
        for text in (
            "élève",
            "naïve",
            "Fluß",
            "São João não é açúcar",
            "“Hi” – he said… it’s fine",
            FRENCH,
            "niño\nMañana",
        )
    ],
    *[(ENGLISH * 30000 + text, "cp1252") for text in ("café", FRENCH)],
]


def read(path: Path, **settings: object) -> str:
    return "".join(record.text for record in read_records(data(path.name, **settings), path.parent))


@pytest.mark.parametrize(("text", "encoding"), SAMPLES, ids=[f"{e}-{t[-12:]!r}" for t, e in SAMPLES])
def test_found(base: Path, text: str, encoding: str) -> None:
    path = base / "a.txt"
    path.write_bytes(text.encode(encoding))
    assert read(path) == text


def test_two_characters_are_enough(base: Path) -> None:
    path = base / "a.txt"
    words = (
        "你好",
        "中国",
        "今天",
        "语言",
        "模型",
        "文字",
        "天气",
        "苹果",
        "朋友",
        "老师",
        "公园",
        "我们",
        "他们",
        "时间",
    )
    for text in words:
        path.write_bytes(text.encode("gb18030"))
        assert read(path) == text


@pytest.mark.parametrize("text", ["欧元", "同学", "一只", "医院", "为什么"])
def test_chinese_that_happens_to_be_valid_utf8(base: Path, text: str) -> None:
    path = base / "a.txt"
    path.write_bytes(text.encode("gb18030"))
    assert path.read_bytes().decode("utf-8")
    assert read(path) == text


@pytest.mark.parametrize(
    "text",
    ["да", "Привет", "ελληνικά", "naïve café", "e\u0301le\u0300ve", "ế", "µΩ", "±5 °C", "Straße № 5", "עברית", "ʻāina"],
)
def test_short_utf8_stays_utf8(base: Path, text: str) -> None:
    path = base / "a.txt"
    path.write_bytes(text.encode())
    assert read(path) == text


@pytest.mark.parametrize(
    "text", ["阿贝尔发明了机器", "把公共汽车开到家里", "个个都会给老大倒茶", "高尔夫比赛的录像放给大家看"]
)
def test_chinese_of_the_first_half_is_not_korean(base: Path, text: str) -> None:
    path = base / "a.txt"
    path.write_bytes(text.encode("gb18030"))
    assert all(byte <= 0xC8 for byte in path.read_bytes()[::2][:6])
    assert read(path) == text


@pytest.mark.parametrize(
    ("text", "encoding"),
    [
        ("Привет, мир! Как дела сегодня?", "cp1251"),
        ("日本語のテキストです。こんにちは", "shift_jis"),
        ("안녕하세요. 저는 학생입니다.", "euc_kr"),
        ("오늘은 날씨가 좋아서 공원에 갔습니다 ㅋㅋ", "euc_kr"),
        ("언어 모델은 다음 단어를 예측한다.\n" * 3000, "cp949"),
    ],
)
def test_others_are_asked_for_and_then_read(base: Path, text: str, encoding: str) -> None:
    path = base / "a.txt"
    path.write_bytes(text.encode(encoding))
    with pytest.raises(DataError, match=r"byte 0x[0-9A-F]{2} at offset 0 .*--encoding"):
        read(path)
    assert read(path, encoding=encoding) == text


@pytest.mark.parametrize("before", [0, 100_000])
def test_damaged_utf8_names_byte_and_offset(base: Path, before: int) -> None:
    good = (CHINESE * (1 + before // len(CHINESE.encode()))).encode()
    path = base / "a.txt"
    path.write_bytes(good + b"\xff" + good)
    with pytest.raises(DataError, match=f"byte 0xFF at offset {len(good):,} "):
        read(path)


def test_fault_beyond_the_first_chunk(base: Path) -> None:
    path = base / "a.txt"
    path.write_bytes(b"a" * 3_000_000 + "é".encode() + b"b")
    with pytest.raises(DataError, match="byte 0xC3 at offset 3,000,000 "):
        read(path, encoding="ascii")


def test_marks_are_not_text(base: Path) -> None:
    path = base / "a.txt"
    path.write_bytes(codecs.BOM_UTF8 + b"x")
    assert read(path) == "x"
