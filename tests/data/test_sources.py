"""Every kind of source gives the text that was put into it, and every fault is one line that says what to type."""

from __future__ import annotations

import gzip
import http.server
import json
import threading
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pandas
import pytest

from nbllm.data import members
from nbllm.data.readers import PIECE
from nbllm.data.sources import check_source, identity, read_records
from nbllm.errors import DataError
from nbllm.registry import CORPORA
from tests.data.conftest import CHINESE, ENGLISH, data

ROWS = [
    {"text": "你好，世界", "label": "a"},
    {"text": 'two, "quoted"\nlines', "label": "b"},
    {"text": "😀 third", "label": "c"},
]
TEXTS = [row["text"] for row in ROWS]


def documents(source: str, base: Path, **settings: object) -> list[str]:
    """The documents of a source, put together from their pieces."""
    found, parts = [], []
    for record in read_records(data(source, **settings), base):
        parts.append(record.text)
        if not record.continues:
            found.append("".join(parts))
            parts = []
    assert parts == []
    return found


@pytest.mark.parametrize("name", ["a.txt", "a.md", "a.rst", "a.py", "a.tex", "a", "文本.txt", "a b.TXT"])
def test_text_files(base: Path, name: str) -> None:
    (base / name).write_text(CHINESE, encoding="utf-8")
    assert documents(name, base) == [CHINESE]
    info = check_source(data(name), base)
    assert (info.kind, info.format, info.files, info.size) == ("file", "text", 1, len(CHINESE.encode()))


def test_line_ends_are_kept(base: Path) -> None:
    (base / "a.txt").write_bytes(b"one\r\ntwo\rthree\x0c\xe2\x80\xa8four\n")
    assert documents("a.txt", base) == ["one\r\ntwo\rthree\x0c\u2028four\n"]


def test_long_text_comes_in_pieces_at_line_ends(base: Path) -> None:
    text = "".join(f"{i} {CHINESE}" for i in range(80_000))
    (base / "a.txt").write_text(text, encoding="utf-8")
    records = list(read_records(data("a.txt"), base))
    assert len(records) > 2
    assert "".join(r.text for r in records) == text
    assert [r.continues for r in records] == [True] * (len(records) - 1) + [False]
    assert all(len(r.text) <= PIECE for r in records)
    assert all(r.text.endswith("\n") for r in records)


def test_folder_takes_text_sorted_and_passes_over_the_rest(base: Path) -> None:
    folder = base / "books"
    (folder / "sub").mkdir(parents=True)
    (folder / ".hidden").mkdir()
    (folder / "run").mkdir()
    for name in ("b.txt", "a.md", "sub/c.txt", ".hidden/x.txt", "run/log.txt", "run/status.json", "run/metrics.jsonl"):
        (folder / name).write_text(f"text of {name}", encoding="utf-8")
    (folder / "image.png").write_bytes(b"\x89PNG\x00")
    (folder / "table.csv").write_text("label\nx\n")
    assert documents("books", base) == ["text of a.md", "text of b.txt", "text of sub/c.txt"]
    assert check_source(data("books"), base).files == 3
    assert documents("books/*.txt", base) == ["text of b.txt"]
    assert documents("books/**/*.txt", base)[-1] == "text of sub/c.txt"
    assert documents("books", base, format="csv", text_column="label") == ["x"]


def test_html_without_tags(base: Path) -> None:
    page = "<html><head><title>标题</title><script>x()</script></head><body><p>One &amp; <b>two</b></p><p>三</p></body>"
    (base / "a.html").write_text(page, encoding="utf-8")
    assert documents("a.html", base) == ["标题\nOne & two\n三"]
    assert documents("a.html", base, format="text") == [page]


def test_notebook_cells(base: Path) -> None:
    cells = [{"source": ["import os\n", "os"]}, {"source": "# 标题"}, {"source": []}]
    (base / "a.ipynb").write_text(json.dumps({"cells": cells, "nbformat": 4}), encoding="utf-8")
    assert documents("a.ipynb", base) == ["import os\nos", "# 标题"]


def test_jsonl_and_json(base: Path) -> None:
    lines = [json.dumps(row, ensure_ascii=False) for row in ROWS]
    (base / "a.jsonl").write_text("\n".join([*lines, "", '{"text": null}']) + "\n", encoding="utf-8")
    (base / "s.jsonl").write_text('"one"\n"\\ud800half"\n', encoding="utf-8")
    (base / "a.json").write_text(json.dumps(ROWS), encoding="utf-8")
    assert documents("a.jsonl", base) == TEXTS
    assert documents("s.jsonl", base) == ["one", "\ufffdhalf"]
    assert documents("a.json", base) == TEXTS
    assert documents("a.jsonl", base, text_column="label") == ["a", "b", "c"]
    info = check_source(data("a.jsonl"), base)
    assert (info.format, info.columns, info.text_column) == ("jsonl", ("text", "label"), "text")


@pytest.mark.parametrize(
    ("table", "texts"),
    [
        (
            "stars;text\n" + '4;"one; ""two""\nand, three"\n' * 40,
            ['one; "two"\nand, three'] * 40,
        ),  # quoted signs and ends
        ("text\n" + "Well; it is, I say, good\n" * 3, ["Well; it is, I say, good"] * 3),  # one column, no quotes
        ('text\n"a, b"\n', ["a, b"]),
        ("id,text\n1,no comma\n2,one, two\n3,none\n", ["no comma", "one", "none"]),  # a row with a cell too many
    ],
)
def test_csv_finds_its_delimiter_behind_quotes_and_other_signs(base: Path, table: str, texts: list[str]) -> None:
    (base / "a.csv").write_text(table, encoding="utf-8")
    assert documents("a.csv", base) == texts


def test_a_table_of_several_texts_names_those_alone(base: Path) -> None:
    pandas.DataFrame({"id": [1], "title": ["a"], "body": ["b"]}).to_json(base / "a.jsonl", orient="records", lines=True)
    with pytest.raises(DataError, match=r"2 columns of text: title, body[.] Say which, as in text_column: title[.]"):
        documents("a.jsonl", base)


@pytest.mark.parametrize(("name", "delimiter"), [("a.csv", ","), ("a.csv", ";"), ("a.tsv", "\t"), ("a.csv", "|")])
def test_csv_finds_its_delimiter(base: Path, name: str, delimiter: str) -> None:
    pandas.DataFrame(ROWS).to_csv(base / name, sep=delimiter, index=False)
    assert documents(name, base) == TEXTS
    assert check_source(data(name), base).columns == ("text", "label")


def test_parquet(base: Path) -> None:
    pytest.importorskip("pyarrow")
    pandas.DataFrame(ROWS).assign(number=1).to_parquet(base / "a.parquet")
    assert documents("a.parquet", base) == TEXTS
    assert check_source(data("a.parquet"), base).text_column == "text"
    with pytest.raises(DataError, match="Did you mean 'label'"):
        check_source(data("a.parquet", text_column="labels"), base)
    with pytest.raises(DataError, match="holds int, not text"):
        documents("a.parquet", base, text_column="number")


def test_gz_and_zip(base: Path) -> None:
    with gzip.open(base / "a.txt.gz", "wt", encoding="utf-8") as file:
        file.write(CHINESE)
    with gzip.open(base / "a.jsonl.gz", "wt", encoding="utf-8") as file:
        file.write(json.dumps(ROWS[0]))
    with zipfile.ZipFile(base / "a.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("b/two.txt", ENGLISH)
        archive.writestr("../../outside.txt", CHINESE)
        archive.writestr("picture.png", b"\x89PNG\x00")
    before = sorted(p.name for p in base.parent.rglob("*"))
    assert documents("a.txt.gz", base) == [CHINESE]
    assert documents("a.jsonl.gz", base) == [TEXTS[0]]
    assert documents("a.zip", base) == [CHINESE, ENGLISH]
    assert sorted(p.name for p in base.parent.rglob("*")) == before  # nothing is extracted
    assert check_source(data("a.zip"), base).kind == "archive"


@pytest.mark.parametrize("name", ["bomb.zip", "bomb.txt.gz"])
def test_bombs_are_refused(base: Path, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(members, "FREE_BYTES", 1 << 20)
    if name.endswith(".zip"):
        with zipfile.ZipFile(base / name, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr("a.txt", b"a" * (8 << 20))
        with pytest.raises(DataError, match="expands beyond"):
            check_source(data(name), base)
    else:
        (base / name).write_bytes(gzip.compress(b"a" * (8 << 20)))
    read = 0
    records = read_records(data(name), base)
    with pytest.raises(DataError, match="expands beyond"):
        read = sum(len(record.text) for record in records)
    assert read == 0


def test_zip_that_lies_about_its_size_is_refused(base: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with zipfile.ZipFile(base / "a.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        for i in range(8):
            archive.writestr(f"{i}.txt", b"a" * (1 << 20))
    monkeypatch.setattr(members, "FREE_BYTES", 1 << 20)
    monkeypatch.setattr(members, "expanded_size", lambda path: 0)
    with pytest.raises(DataError, match="expands beyond"):
        documents("a.zip", base)


def test_limit(base: Path) -> None:
    (base / "a.txt").write_text(CHINESE * 200, encoding="utf-8")
    text = documents("a.txt", base, limit_mb=0.001)[0]
    assert (CHINESE * 200).startswith(text)
    assert 990 <= len(text.encode()) <= 1000


@pytest.mark.parametrize("name", ["python-docs", "zh-phrases"])
def test_builtin_corpora(base: Path, name: str) -> None:
    first, again = documents(name, base), documents(name, base)
    assert first == again
    assert sum(map(len, first)) > 300_000
    assert check_source(data(name), base).kind == "corpus"
    assert name in CORPORA


def test_registered_corpus(base: Path) -> None:
    CORPORA.register("from_a_cell")(lambda: iter(["one", "二"]))
    assert documents("from_a_cell", base) == ["one", "二"]
    assert identity(data("from_a_cell"), base) != identity(data("from_a_cell"), base)


def test_identity_follows_content_not_time(base: Path) -> None:
    path = base / "a.txt"
    path.write_text(ENGLISH)
    first = identity(data("a.txt"), base)
    path.touch()
    assert identity(data("a.txt"), base) == first
    path.write_text(ENGLISH.replace("dog", "cat"))
    assert identity(data("a.txt"), base) != first


FAULTS = [
    ("shakespear.txt", {}, "Did you mean 'shakespeare.txt'"),
    ("shake*.md", {}, "No file fits"),
    ("nowhere/a.txt", {}, "no folder"),
    ("python-doc", {}, "Did you mean 'python-docs'"),
    ("empty.txt", {}, "is empty"),
    ("binary.txt", {}, "binary file"),
    ("pictures", {}, "holds no file that can be read"),
    ("table.csv", {"text_column": "boby"}, "Did you mean 'body'"),
    ("table.csv", {}, "2 columns of text: title, body"),
    ("lines.jsonl", {"text_column": "x"}, "It has: body, n"),
    ("http://example.com/a.txt", {}, "not an https address"),
    ("ftp://example.com/a.txt", {}, "not an https address"),
    ("broken.zip", {}, "no readable zip"),
    ("none.zip", {}, "holds no text file"),
    ("broken.parquet", {}, "no Parquet file"),
]


@pytest.mark.parametrize(("source", "settings", "message"), FAULTS)
def test_faults_are_found_in_the_kernel(base: Path, source: str, settings: dict[str, str], message: str) -> None:
    (base / "shakespeare.txt").write_text(ENGLISH)
    (base / "empty.txt").touch()
    (base / "binary.txt").write_bytes(bytes(range(256)) * 20)
    (base / "pictures").mkdir()
    (base / "pictures" / "a.png").write_bytes(b"\x89PNG")
    (base / "table.csv").write_text("title,body\nx,y\n")
    (base / "lines.jsonl").write_text('{"body": "b", "n": 1}\n')
    (base / "broken.zip").write_bytes(b"PK not a zip")
    (base / "broken.parquet").write_bytes(b"PAR1 no")
    with zipfile.ZipFile(base / "none.zip", "w") as archive:
        archive.writestr("a.png", b"x")
    with pytest.raises(DataError, match=message) as caught:
        check_source(data(source, **settings), base)
    assert "\n" not in str(caught.value)


READING_FAULTS = [
    ("a.jsonl", '{"text": "x"}\n{"text": \n', {}, "line 2 is not JSON"),
    ("a.jsonl", '{"text": "x"}\n[1]\n', {}, "line 2 is neither"),
    ("a.jsonl", '{"text": "x"}\n{"text": 5}\n', {}, "holds int, not text"),
    ("a.json", "{", {}, "is not JSON"),
    ("a.ipynb", "{}", {}, "no notebook of format 4"),
    ("a.txt", "x", {"encoding": "utf-99"}, "no encoding 'utf-99'"),
    ("a.txt", "é", {"encoding": "ascii"}, "byte 0xC3 at offset 0 "),
]


@pytest.mark.parametrize(("name", "text", "settings", "message"), READING_FAULTS)
def test_faults_are_found_while_reading(
    base: Path, name: str, text: str, settings: dict[str, str], message: str
) -> None:
    (base / name).write_text(text, encoding="utf-8")
    with pytest.raises(DataError, match=message):
        documents(name, base, **settings)


@pytest.fixture
def server() -> Iterator[str]:
    """A web server on this machine: /a.txt, and /away which leads elsewhere."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.do_HEAD()
            if self.path == "/a.txt":
                self.wfile.write(CHINESE.encode())

        def do_HEAD(self) -> None:
            self.send_response({"/a.txt": 200, "/away": 302}.get(self.path, 404))
            if self.path == "/away":
                self.send_header("Location", "http://example.com/a.txt")
            self.send_header("Content-Length", str(len(CHINESE.encode()) if self.path == "/a.txt" else 0))
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as running:
        thread = threading.Thread(target=running.serve_forever, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{running.server_address[1]}"
        running.shutdown()
        thread.join()


def test_address_asks_first_then_fetches_once(base: Path, server: str) -> None:
    source = f"{server}/a.txt"
    with pytest.raises(DataError, match=f"is {len(CHINESE.encode())} bytes and not here yet.*allow_download"):
        check_source(data(source), base)
    assert check_source(data(source, allow_download=True), base).kind == "https"
    assert documents(source, base, allow_download=True) == [CHINESE]
    assert documents(source, base) == [CHINESE]  # it is here now
    for path, message in (("/none", "answers 404"), ("/away", "not an https address")):
        with pytest.raises(DataError, match=message):
            documents(server + path, base, allow_download=True)


def test_hugging_face_from_disk(base: Path) -> None:
    datasets = pytest.importorskip("datasets")
    datasets.Dataset.from_list(ROWS).save_to_disk(base / "set")
    assert documents("hf:set", base) == TEXTS
    info = check_source(data("hf:set"), base)
    assert (info.kind, info.columns, info.text_column) == ("huggingface", ("text", "label"), "text")
    with pytest.raises(DataError, match="Did you mean 'label'"):
        check_source(data("hf:set", text_column="labell"), base)
    datasets.DatasetDict({"train": datasets.Dataset.from_list(ROWS)}).save_to_disk(base / "splits")
    assert documents("hf:splits", base) == TEXTS
    with pytest.raises(DataError, match="no split 'test'"):
        documents("hf:splits", base, dataset_split="test")


def test_hugging_face_by_name_asks_first(base: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("datasets")
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.raises(DataError, match="allow_download"):
        check_source(data("hf:nobody/no-such-set"), base)
