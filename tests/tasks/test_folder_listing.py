"""What lies in a folder: whatever systems, tools and accidents leave there."""

from __future__ import annotations

import os
import socket

import pytest

from bench.errors import BadInput, shown, unknown
from bench.tasks.data_notes import Note, Notes
from bench.tasks.folder_listing import below, entries, is_there, is_within, part_of, parts_of, title


def litter(folder):
    """A folder with one file and one folder among all that is neither."""
    (folder / "sub").mkdir(parents=True)
    (folder / "a.png").write_bytes(b"a")
    (folder / "sub" / "b.png").write_bytes(b"b")
    for hidden in (".DS_Store", "._a.png", "Thumbs.db", "desktop.ini"):
        (folder / hidden).write_bytes(b"")
    for hidden in (".ipynb_checkpoints", "__MACOSX", ".git"):
        (folder / hidden).mkdir()
    (folder / "gone.png").symlink_to(folder / "nowhere")
    (folder / "loop.png").symlink_to("loop.png")
    (folder / "up").symlink_to(folder)
    os.mkfifo(folder / "pipe.png")
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(folder / "socket.png"))
    return folder


def test_only_files_and_folders_are_found_and_the_rest_is_counted(tmp_path, monkeypatch):
    litter(tmp_path / "x")
    monkeypatch.chdir(tmp_path)  # a socket's path is short
    notes = Notes()
    found = entries(tmp_path / "x", notes)
    assert [file.name for file in found.files] == ["a.png"] and [f.name for f in found.folders] == ["sub", "up"]
    assert {(note.kind, note.count) for note in notes.all} == {("dropped", 2), ("ignored", 7), ("ignored", 2)}
    assert notes.counts == {"dangling_links_dropped": 2}
    assert sorted(file.name for file in below(tmp_path / "x")) == ["a.png", "b.png"], "each folder once"


@pytest.mark.parametrize(
    ("name", "part"),
    [("train", "train"), ("Training", "train"), ("VAL", "val"), ("valid", "val"), ("Validation", "val"), ("dev", "val"),
     ("Test", "test"), ("testing ", "test"), ("holdout", None), ("", None)],
)  # fmt: skip
def test_one_set_of_names_for_parts(name, part):
    assert part_of(name) == part


def test_two_folders_of_one_part_are_refused(tmp_path):
    with pytest.raises(BadInput, match="has both val/ and Validation/: keep one"):
        parts_of([tmp_path / "val", tmp_path / "Validation"], tmp_path)


def test_names_that_are_no_names_make_no_error(tmp_path):
    for name in ("a\0b", "x" * 5000, "../up", "."):
        assert not is_there(tmp_path / name)
    assert is_within(tmp_path / "a" / ".." / "b", tmp_path) and not is_within(tmp_path / ".." / "b", tmp_path)
    assert title(tmp_path / os.fsdecode(b"caf\xe9.png")).endswith("caf\\xe9.png")


def test_messages_are_short_printable_and_on_one_line():
    message = str(BadInput("a\nb\x1b[31m\u202e\udcff" + "x" * 10_000_000 + "end"))
    assert message.startswith("a\\nb\\x1b[31m\\u202e\\udcff") and message.endswith("xend") and len(message) < 1300
    assert len(str(unknown("column", "y" * 10_000_000, ["text"]))) < 1300
    deep: list = []
    for _ in range(100_000):
        deep = [deep]
    assert max(len(shown(value)) for value in (deep, 10**5000, {"a": "x" * 10**6}, "é" * 90)) < 400
    assert shown("naïve 猫") == "naïve 猫"


def test_notes_are_counted_together():
    notes = Notes()
    notes.add("ignored", "files", "a")
    notes.add("ignored", "files", "b", count=2)
    notes.add("dropped", "pictures", count=0, key="pictures_dropped")
    assert notes.all == (Note("ignored", "files", 3, "a"),) and str(notes.all[0]) == "ignored 3: files, e.g. a"
    with pytest.raises(ValueError, match="none of"):
        notes.add("lost", "files")
