"""One's own texts in every format, encoding and dialect that tools write: what is read, and what is said of it."""

from __future__ import annotations

import json
import os

import pyarrow
import pytest
from pyarrow import parquet

from bench.errors import BadInput
from bench.tasks import TextCsv
from bench.tasks.text.encodings import decoded

ROWS = [(f"{name} thing, number {i}", name) for i in range(8) for name in ("bad", "good")]
ODD = 'said "no", then\tleft — naïve'
PLAIN = {"compression": "none", "use_dictionary": False}
SENTENCES = {
    "cp1252": ["El niño comió jamón", "déjà vu à l’été", "schöne Grüße, 5 €", "smørrebrød på øen", "don’t “quote” me"],
    "latin-1": ["naïve café", "El niño comió jamón, mañana será otro día"],
    "utf-16": ["naïve 猫", "plain words"],
    "utf-16-le": ["plain words and some more"],
    "utf-16-be": ["plain words and some more"],
    "utf-32": ["naïve 猫"],
    "utf-8-sig": ["naïve 猫"],
    "utf-8": ["naïve 猫", "plain"],
}
GUESSED = {"cp1252": "cp1252", "latin-1": "cp1252", "utf-16-le": "utf-16-le", "utf-16-be": "utf-16-be"}


def lines(rows=ROWS, header=("text", "label"), *, by=",", end="\n"):
    def field(value):
        return f'"{value}"' if by in value or '"' in value or "\n" in value else value

    return end.join(by.join(map(field, row)) for row in (header, *rows)) + end


def texts(path, **how):
    pool = TextCsv(str(path), **how).pool()
    return [pool.read(i) for i in range(len(pool.labels))], [str(note) for note in pool.notes]


def refused(path, match, **how):
    with pytest.raises(BadInput, match=match) as caught:
        TextCsv(str(path), **how).pool()
    assert "\n" not in str(caught.value) and len(str(caught.value)) < 1300


@pytest.mark.parametrize(("encoding", "said"), [(e, s) for e, those in SENTENCES.items() for s in those])
def test_encodings(tmp_path, encoding, said):
    (tmp_path / "a.csv").write_bytes(lines([(said, "bad"), *ROWS]).encode(encoding))
    found, notes = texts(tmp_path / "a.csv")
    assert found[0] == said
    guess = GUESSED.get(encoding) if not said.isascii() or "-16-" in encoding else None
    assert [note for note in notes if note.startswith("assumed")] == (
        [f"assumed: files are read as {guess}{' (Latin-1)' * (guess == 'cp1252')}, not UTF-8 (encoding=… says "
         "otherwise), e.g. a.csv"] if guess else []
    )  # fmt: skip


@pytest.mark.parametrize(
    ("encoding", "said"),
    [("cp1251", "Привет, как дела, это хорошая книга, очень хорошая"),
     ("shift_jis", "これは日本語の文章です、とても良い"),
     ("gb18030", "这是一本很好的书，我非常喜欢它"), ("cp1250", "Człowiek jest żółty, mąż źle śpi, zażółć gęślą jaźń")],
)  # fmt: skip
def test_other_scripts_are_never_read_as_western(tmp_path, encoding, said):
    """What they are is guessed, and said; what is asked for is right."""
    raw = "\n".join([said] * 4).encode(encoding)
    assert decoded(raw, "x")[1] not in ("", "cp1252 (Latin-1)")
    assert decoded(raw, "x", encoding) == ("\n".join([said] * 4), "")


def test_what_is_no_text(tmp_path):
    for raw, why in (
        (b"PK\x03\x04..", "xlsx"),
        (b"\x1f\x8b...", "gzip"),
        (b"text,label\na\x00b,c\n", "line 2 has a zero"),
    ):
        (tmp_path / "a.csv").write_bytes(raw)
        refused(tmp_path / "a.csv", why)
    (tmp_path / "a.csv").write_bytes(b"text,label\nna\xefve,bad\n")
    refused(tmp_path / "a.csv", "cannot be read as ascii: line 2", encoding="ascii")
    refused(tmp_path / "a.csv", "encoding='latin-99' is not known", encoding="latin-99")


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("by", [",", ";", "|", "\t"])
def test_separators_and_ends_of_lines(tmp_path, by, end):
    file = tmp_path / ("a.tsv" if by == "\t" else "a.csv")
    file.write_bytes(lines([(ODD.replace("\t", " "), "bad"), *ROWS], by=by, end=end).replace('"no"', '""no""').encode())
    assert texts(file) == ([ODD.replace("\t", " "), *(text for text, _ in ROWS)], [])


def test_excels_line_that_names_the_separator(tmp_path):
    (tmp_path / "a.csv").write_text("sep=;\n" + lines(by=";"))
    assert texts(tmp_path / "a.csv")[0][0] == ROWS[0][0]


@pytest.mark.parametrize("odd", ['said "no"', '"Great" they said', '"never closed', 'one", two', '"whole"'])
def test_unquoted_tsv(tmp_path, odd):
    rows = [(odd, "bad"), *ROWS, ('ends with"', "good")]
    (tmp_path / "a.tsv").write_text("text\tlabel\n" + "".join(f"{text}\t{label}\n" for text, label in rows))
    found, notes = texts(tmp_path / "a.tsv")
    assert found == [text for text, _ in rows] or (odd == '"whole"' and found[0] == "whole" and len(found) == len(rows))
    if odd in ('"Great" they said', '"never closed'):
        assert notes == ["assumed: TSV files are unquoted: their quotes are part of the text, e.g. a.tsv"]


def test_quoted_tsv_may_have_newlines(tmp_path):
    (tmp_path / "a.tsv").write_text('text\tlabel\n"two\nlines\tand a tab"\tbad\n' + lines(by="\t").split("\n", 1)[1])
    assert texts(tmp_path / "a.tsv")[0][0] == "two\nlines\tand a tab"


def test_blanks_in_the_header_are_mended(tmp_path):
    (tmp_path / "a.csv").write_text(lines(header=(" text", "label ")))
    assert texts(tmp_path / "a.csv")[1] == ["mended 1: headers with blanks around a name, e.g. a.csv"]


def test_skip_empty(tmp_path):
    (tmp_path / "a.csv").write_text(lines([*ROWS, ("", "bad"), (" ", "good"), ("no label", " ")]))
    refused(tmp_path / "a.csv", "2 of 19 rows have no text, the first on line 18: fill them in, or .* skip_empty=True")
    task = TextCsv(str(tmp_path / "a.csv"), skip_empty=True)
    assert len(task.pool().labels) == 16 and repr(task).endswith("skip_empty=True)")
    assert (task.pool().removed["empty_removed"], task.pool().removed["unlabelled_removed"]) == (2, 1)
    assert "dropped 2: rows without a text, e.g. a.csv line 18" in texts(tmp_path / "a.csv", skip_empty=True)[1]
    (tmp_path / "b.csv").write_text(lines(header=("text", "label"), rows=[("", ""), ("", "")]))
    refused(tmp_path / "b.csv", "has a header and no rows with text and label", skip_empty=True)


def jsonl(rows=ROWS):
    return (
        "\n".join(json.dumps({"id": i, "text": text, "label": label}) for i, (text, label) in enumerate(rows)) + "\n\n"
    )


def test_json_lines_json_and_parquet(tmp_path):
    (tmp_path / "a.jsonl").write_bytes(jsonl().replace("\n", "\r").encode("utf-8-sig"))
    (tmp_path / "a.json").write_text(json.dumps([{"text": text, "label": label} for text, label in ROWS]))
    columns = {"text": [text for text, _ in ROWS], "label": [label for _, label in ROWS], "tags": [["x"]] * 16}
    parquet.write_table(pyarrow.table(columns), tmp_path / "a.parquet")
    for ending in ("jsonl", "json", "parquet"):
        assert texts(tmp_path / f"a.{ending}") == ([text for text, _ in ROWS], [])
        refused(tmp_path / f"a.{ending}", "did you mean 'text'", text="texts")
    refused(tmp_path / "a.parquet", "'tags' is list, not a text", text="tags")


def test_numbers_and_nothing_as_labels(tmp_path):
    rows = [{"text": f"text {i}", "label": label} for i, label in enumerate([1, 2.0, True, None, 1, 2, 1, 2, 1, 2])]
    (tmp_path / "a.jsonl").write_text("\n".join(map(json.dumps, rows)))
    refused(tmp_path / "a.jsonl", "1 of 10 rows have no label, the first on line 4")
    rows[2]["label"], rows[3]["label"] = 1, 2
    (tmp_path / "a.jsonl").write_text("\n".join(map(json.dumps, rows)))
    assert TextCsv(str(tmp_path / "a.jsonl")).pool().names == ("1", "2")


@pytest.mark.parametrize(
    ("content", "why"),
    [("[" * 30_000 + "]" * 30_000, "nested too deeply|is no object"),
     ('{"text": "a"\n', "line 1 cannot be read as JSON"),
     ("5\n", "line 1 is no object with the keys"), ("", "is empty"), ('{"text": ["a"], "label": 1}', "not a text"),
     ('{"text": 1' + "0" * 5000 + "}", "cannot be read as JSON")],
)  # fmt: skip
def test_json_that_will_not_do(tmp_path, content, why):
    (tmp_path / "a.jsonl").write_text(content)
    refused(tmp_path / "a.jsonl", why)


def test_parquet_that_is_none(tmp_path):
    (tmp_path / "a.parquet").write_bytes(b"PAR1 no")
    refused(tmp_path / "a.parquet", "cannot be read as Parquet")
    refused(tmp_path / "a.parquet", "in no encoding of its own: leave encoding=.latin-1. out", encoding="latin-1")
    parquet.write_table(pyarrow.table({"text": ["naive"] * 2, "label": ["a", "b"]}), tmp_path / "b.parquet", **PLAIN)
    raw = (tmp_path / "b.parquet").read_bytes()
    (tmp_path / "a.parquet").write_bytes(raw.replace(b"naive", b"na\xefve"))
    refused(tmp_path / "a.parquet", "cannot be read as Parquet")


@pytest.mark.parametrize("test", ["text\nx\ny\n", "text,label\nx,\ny,\n", "text,label\nx,-1\n", "id,text\n1,x\n"])
def test_a_test_file_without_labels_is_not_tested_on_and_said(tmp_path, test):
    (tmp_path / "train.csv").write_text(lines())
    (tmp_path / "test.csv").write_text(test)
    pool = TextCsv(str(tmp_path)).pool()
    assert pool.official_test is None and pool.hold_out == 3
    assert f"ignored {test.count(chr(10)) - 1}: texts of test.csv, which has no labels, e.g. column 'label'" in [
        str(note) for note in pool.notes
    ]


def test_parts_by_any_of_their_names_and_pieces_of_the_hub(tmp_path):
    (tmp_path / "Training.CSV").write_text(lines())
    (tmp_path / "Validation.jsonl").write_text(jsonl([("v1", "bad"), ("v2", "good")]))
    for i in range(2):
        columns = {"text": [f"t{i}"], "label": ["bad"]}
        parquet.write_table(pyarrow.table(columns), tmp_path / f"test-0000{i}-of-00002.parquet")
    (tmp_path / "sample_submission.csv").write_text("id,label\n")
    (tmp_path / "._train.csv").write_bytes(b"\0")
    os.mkfifo(tmp_path / "dev.csv")
    pool = TextCsv(str(tmp_path)).pool()
    assert [pool.read(i) for i in (*pool.official_val, *pool.official_test)] == ["v1", "v2", "t0", "t1"]
    assert sorted(str(note) for note in pool.notes) == [
        "ignored 1: files that are none of train, val and test by their names, e.g. sample_submission.csv",
        "ignored 1: hidden files or folders, e.g. ._train.csv",
        f"ignored 1: pipes, sockets or devices, e.g. {tmp_path.name}/dev.csv",
    ]  # fmt: skip
    (tmp_path / "holdout").mkdir()
    (tmp_path / "holdout" / "x.csv").write_text(lines())
    refused(tmp_path, "has holdout/ beside Training.CSV: not understood")


def test_a_message_never_repeats_a_file(tmp_path):
    huge = "x" * 3_000_000
    for content in (f"{huge}\n", f"text,label\na,{huge}\n", f'text,label\n"{huge}\n', f"text,label\na,b,{huge}\n"):
        (tmp_path / "a.csv").write_text(content)
        refused(tmp_path / "a.csv", "a.csv")
