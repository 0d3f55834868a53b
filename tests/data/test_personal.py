"""Personal data by its form and its check digits. Every value here is made up."""

from __future__ import annotations

import json

import pytest

import nbllm
from nbllm.config import CleanConfig, DataConfig, RunConfig
from nbllm.data.clean import CleanReport, clean, clean_rows
from nbllm.data.personal import KINDS, china_id, find, iban, luhn, masked, redact
from nbllm.data.readers import Record
from nbllm.data.text_stream import TextStream

FOUND = [
    ("write to wei.zhang+news@mail.example.org.", "write to <email>."),
    ("写信给zhang.wei@example.com吧，电话13812345678。", "写信给<email>吧，电话<phone>。"),
    ("手机１３８１２３４５６７８或138 1234 5678", "手机<phone>或<phone>"),
    ("座机(010)62345678，或0755-26001234转8", "座机<phone>，或<phone>转8"),
    ("+86 13812345678, +44 20 7946 0958, +1-212-555-0187", "<phone>, <phone>, <phone>"),
    ("(212) 555-0187 or 212.555.0187", "<phone> or <phone>"),
    ("card 4111 1111 1111 1111, 378282246310005", "card <card>, <card>"),
    ("卡号4111-1111-1111-1111。", "卡号<card>。"),
    ("身份证11010519491231002X和11010519491231002x", "身份证<china-id>和<china-id>"),
    ("SSN 219-09-9998", "SSN <us-ssn>"),
    ("to DE89 3704 0044 0532 0130 00 NOW", "to <iban> NOW"),
    ("GB82WEST12345698765432", "<iban>"),
    ("from 93.184.216.34 and 2001:4860:4860::8888", "from <ip> and <ip>"),
]
LEFT = [
    "pi 3.14159265358979, 2024-01-02 10:11:12, version 1.2.3.4.5",
    "4111 1111 1111 1112 fails its check, 0000 0000 0000 0000 is none",
    "550e8400-e29b-41d4-a716-446655440000 and 978-3-16-148410-0",
    "11010519491231002Y 110105194912310021 999999194912310021",
    "DE88 3704 0044 0532 0130 00",
    "192.168.0.1 127.0.0.1 999.1.1.1 std::vector fade::bee",
    "user@localhost a@b, 000-12-3456, 2147483647, +3.140000",
    "订单号20240102123456，共12345678件",
]


@pytest.mark.parametrize(("text", "left"), FOUND)
def test_each_kind_is_replaced(text: str, left: str) -> None:
    assert redact(text, KINDS, {}) == left


@pytest.mark.parametrize("text", LEFT)
def test_other_numbers_stay(text: str) -> None:
    assert find(text) == []


def test_checks() -> None:
    assert luhn("79927398713")
    assert not luhn("79927398714")
    assert china_id("11010519491231002X")
    assert not china_id("11010519490231002X")
    assert iban("FR1420041010050500013M02606")
    assert not iban("FR1420041010050500013M02607")


def test_only_the_kinds_that_are_asked_for() -> None:
    text = "a@example.com 13812345678"
    counts: dict[str, int] = {}
    assert redact(text, ["phone"], counts) == "a@example.com <phone>"
    assert counts == {"phone": 1}
    assert masked("a.b@example.com") == "a.•@•••••••.••m"


@pytest.mark.parametrize("size", [1, 7, 13, 300])
def test_cleaning_finds_what_is_cut_in_two(size: int) -> None:
    text = "".join(f"{a}，然后 " for a, _ in FOUND) * 20
    whole = redact(text, KINDS, {})
    parts = [text[i : i + size] for i in range(0, len(text), size)]
    records = [Record(part, number < len(parts) - 1) for number, part in enumerate(parts)]
    report = CleanReport()
    found = clean([*records, Record("next")], CleanConfig(redact=["all"], strip=False), report)
    assert "".join(record.text for record in found) == whole + "next"
    assert sum(report.as_dict()["redacted"].values()) == whole.count("<") - text.count("<")
    assert report.redacted["email"] == 40


def test_rows_of_all_columns() -> None:
    report = CleanReport()
    rows = [{"source": "call 13812345678", "target": "à a@example.com"}]
    data = DataConfig(clean=CleanConfig(redact=["all"]))
    assert list(clean_rows(rows, data, report)) == [{"source": "call <phone>", "target": "à <email>"}]
    assert report.redacted == {"phone": 1, "email": 1}


def test_a_stream_is_redacted_from_any_place(tmp_path) -> None:
    path = tmp_path / "a.txt"
    path.write_text("\n".join(f"第{i}行 mail{i}@example.com 完" for i in range(3000)), encoding="utf-8")
    stream = TextStream(DataConfig(source=str(path), clean=CleanConfig(redact=["email"])), tmp_path)
    blocks = list(stream.blocks(size=5000, piece=1000))
    whole = b"".join(block.text for block in blocks).decode("utf-8", "ignore")
    assert whole.count("<email>") == stream.report.redacted["email"] == 3000
    assert "@" not in whole
    again = list(stream.blocks(blocks[3].place, size=5000, piece=1000))
    assert [block.text for block in again] == [block.text for block in blocks[3:]]


def test_the_setting_is_spelled_out_and_refused_where_wrong() -> None:
    assert RunConfig.model_validate({"data": {"clean": {"redact": True}}}).data.clean.redact == list(KINDS)
    assert CleanConfig(redact="ip, email").redact == ["email", "ip"]
    with pytest.raises(ValueError, match="Did you mean email"):
        CleanConfig(redact="mail")


def test_what_was_replaced_is_reported(tmp_path) -> None:
    path = tmp_path / "a.txt"
    path.write_text("\n".join(f"{i} mail{i}@example.com 13812345678" for i in range(400)), encoding="utf-8")
    settings = {"data": str(path), "size": "tiny", "steps": 1, "runner": "inline", "redact": "email, phone"}
    run = nbllm.train("kept", **settings)
    report = json.loads((run.folder / "data" / "report.json").read_text(encoding="utf-8"))
    assert report["clean"]["redacted"] == {"email": 400, "phone": 400}
    stream = nbllm.train("streamed", streaming=True, **settings)
    report = json.loads((stream.folder / "data" / "report.json").read_text(encoding="utf-8"))
    assert report["sample_clean"]["redacted"] == {"email": 400, "phone": 400}
    table = nbllm.preview(str(path), redact=True).to_frame()
    assert table.value["redacted"] == "400 email, 400 phone"
