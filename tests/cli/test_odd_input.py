"""What nobody means to give, and a script does: one clear line each, and no traceback."""

from __future__ import annotations

import io
import json
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

import bench
from bench.cli import app, main
from bench.cli.costs import memory
from bench.errors import BadInput
from bench.execution.launch import alone
from bench.methods import METHODS
from bench.records import Records
from bench.report.data.searches import _fields
from bench.report.figures.cache import FigureCache
from bench.spec import parse

ROOT = Path(__file__).parents[2]
DEEP = 30_000


@pytest.mark.parametrize(
    "text",
    [
        *("(" * DEEP, "[" * DEEP, "-" * DEEP + "1", f"LoRA(rank={'-' * DEEP}1)", f"LoRA(at={'(' * 90}1{',)' * 90})"),
        *(f"LoRA(at={'[' * DEEP}{']' * DEEP})", "a" + ".a" * DEEP, f"LoRA({'a' * 10**6}=1)", "x" * 10**7),
        *(f"LoRA(at=({'1,' * 10**4}))", f"LoRA(rank={'9' * 5000})", f"LoRA(rank='{'y' * 10**6}')", "LoRA(**{})"),
        *("LoRA(rank={[]})", "LoRA(rank=1+" + "1+" * DEEP + "1)", "lambda: " * 5000 + "1", "\x1b[31mLoRA("),
    ],
    ids=lambda text: text[:12],
)
def test_a_specification_that_no_one_writes_is_one_short_line(text: str) -> None:
    with pytest.raises(BadInput) as error:
        parse(text, known=METHODS, kind="method")
    said = str(error.value)
    assert len(said) < 1_000 and said.isprintable()


@pytest.mark.parametrize("spec", ["[" * DEEP, f"LoRA(rank={'-' * DEEP}1)", "LoRA(rank={[]})", "LoRA(rank=f(1))", ""])
def test_a_records_specification_that_cannot_be_read_says_nothing(spec: str) -> None:
    assert _fields(spec) == {}


@pytest.mark.parametrize(
    "content",
    [
        "[" * 100_000,
        "{}",
        '{"files": 3}',
        '{"a": {"of": 3, "files": {}}}',
        '{"a": {"of": "3", "files": []}}',
        '{"a": {"of": "3", "files": {"b": 3}}}',
        "\x00",
    ],
    ids=lambda content: content[:20],
)
def test_a_list_of_figures_that_is_none_draws_anew(tmp_path: Path, content: str) -> None:
    (tmp_path / "drawn.json").write_text(content)
    cache = FigureCache(tmp_path / "figures", [])
    made = tmp_path / "figures" / "a.png"
    made.parent.mkdir()
    made.write_bytes(b"drawn")
    assert cache.keep("a", lambda: [made], of=[]) == (made,)
    cache.close()
    assert list(json.loads((tmp_path / "drawn.json").read_text())) == ["a"]


def test_a_lock_that_is_a_folder_is_one_line(tmp_path: Path) -> None:
    (tmp_path / ".lock").mkdir()
    with pytest.raises(BadInput, match=r"cannot hold .*\.lock"), alone(tmp_path):
        raise AssertionError


LONG = "r" * 300


@pytest.mark.parametrize(
    "command",
    [
        *(["claims", "--scale", "/"], ["claims", "--scale", "../.."], ["compare", "LoRA", "BitFit", "--scale", "*"]),
        *(["claims", "--scale", ""], ["claims", "--scale", "s" * 10**6], ["claims", "--results", LONG]),
        *(["figures", "--results", LONG], ["compare", "LoRA", "BitFit", "--results", LONG]),
        *(["run", "rank-sweep", "--scale", "smoke", "--results", LONG], ["figures", "x" * 10**6]),
        *(["mlflow", "sync", "--results", LONG], ["dashboard", "--scale", "/"]),
    ],
    ids=lambda command: " ".join(command)[:30],
)
def test_odd_names_are_one_line(
    command: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.chdir(ROOT)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path}/mlflow.db")
    monkeypatch.setattr(sys, "argv", ["bench", *command])
    with pytest.raises(SystemExit) as leaving:
        main()
    said = capsys.readouterr().err.splitlines()
    assert leaving.value.code == 2
    assert len(said) == 1 and said[0].startswith("bench: ") and len(said[0]) < 1_500


@pytest.mark.parametrize("scale", ["/", "..", "a/b", ""])
def test_a_scale_is_a_name(scale: str, tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="name one: smoke, laptop, overnight or full"):
        bench.load("rank-sweep", scale=scale, results=tmp_path)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a device that is always full")
def test_an_output_that_is_full_is_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["bench", "methods"])
    with open("/dev/full", "w") as full, monkeypatch.context() as patch:
        patch.setattr(sys, "stdout", full)
        with pytest.raises(SystemExit) as leaving:
            main()
    assert leaving.value.code == 2
    assert capsys.readouterr().err == "bench: No space left on device; BENCH_DEBUG=1 shows where\n"


def test_an_output_that_is_not_utf_8_escapes_what_it_has_no_letter_for(monkeypatch: pytest.MonkeyPatch) -> None:
    plain = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    monkeypatch.chdir(ROOT)
    monkeypatch.setattr(sys, "argv", ["bench", "claims"])
    monkeypatch.setattr(sys, "stdout", plain)
    with pytest.raises(SystemExit) as leaving:
        main()
    said = plain.buffer.getvalue()  # type: ignore[attr-defined]
    assert leaving.value.code == 0 and said.isascii() and b"\\u" in said


def test_a_deep_record_is_set_aside(tmp_path: Path) -> None:
    (tmp_path / "runs").mkdir()
    path = tmp_path / "runs" / f"{'0' * 16}.json"
    for content in ("[" * DEEP, '{"a":' * 900 + "1" + "}" * 900):
        path.write_text(content)
        assert Records(tmp_path).all() == [] and not path.exists()


def test_help_still_answers() -> None:
    assert CliRunner().invoke(app, ["--help"]).exit_code == 0


@pytest.mark.parametrize(
    ("method", "model", "options", "told"),
    [
        ("LoRA", "test_vit", {"size": 0}, "image_size 0"),
        ("LoRA", "test-bert", {"length": 0}, "max_length 0"),
        ("LoRA", "test-llama", {"length": 257}, "takes at most 256 tokens"),
        ("LoRA", "test_vit", {"length": 9}, "--length is of texts"),
        ("LoRA", "test-bert", {"size": 9}, "--size is of pictures"),
        ("LoRA", "test_vit", {"loss": "fused"}, "leave --loss out"),
        ("LoRA", "test_vit", {"checkpoint_every": 2}, "say --checkpointing too"),
        ("LoRA", "test_vit", {"fit": "1GiB", "batch": 4}, "leave either out"),
        ("LoRA", "test_vit", {"attention": "flash", "base": "fp32"}, "flash attention takes 16 bits"),
        ("LoRA(at=('conv',))", "test_resnet", {"attention": "eager"}, "attention eager: ResNet has none"),
        ("LoRA(at=('conv',))", "test_resnet", {"base": "nf4"}, "has no Linear layers"),
        ("FullFineTuning", "test-llama", {"base": "nf4", "length": 16}, "trains what nf4 would pack"),
    ],
)
def test_memory_of_what_contradicts_itself_is_one_line(method: str, model: str, options: dict, told: str) -> None:
    with pytest.raises(BadInput, match=told) as error:
        memory([method], model=model, **options)
    assert "\n" not in str(error.value)
