"""From a folder of pictures to a recommendation with its page: once, as `bench.try_` does it, and looked at from all
sides."""

from __future__ import annotations

import json
import random
import re
import runpy
import shutil
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

import bench
from bench.cli import app
from bench.errors import BadInput
from bench.execution.own_data import PLAN, Wanted, try_data
from bench.execution.pace import Slower, only, watch
from bench.methods import FullFineTuning, LinearProbe, LoRA
from bench.models import HuggingFace, Timm
from bench.records import Records
from bench.report.page import own_data as page
from bench.study import own_data as planning
from bench.study.own_data import Size
from bench.study.speed import Speed
from bench.tasks import ImageFolder
from bench.tasks.text.task import TextCsv
from bench.training.recipe import Training
from tests.support.tiny_study import STUDY

ROOT = Path(__file__).parents[2]
SMALL = lambda whole, classes, sizes: Size(sizes[0], None, 20, 2, 2)  # noqa: E731
VIT = "Timm('test_vit', weights='random', image_size=32)"
pytestmark = [
    pytest.mark.xdist_group("own data"),
    pytest.mark.usefixtures("own_cache", "one_thread"),
]  # one worker: the study takes seconds to make


def pictures(folder, n=20):
    """Bright, dark and striped squares of noise."""
    dice = np.random.default_rng(0)
    for name, level in (("bright", 200), ("dark", 60), ("striped", 130)):
        for i in range(n):
            pixels = np.clip(dice.normal(level, 40, (16, 16, 3)), 0, 255)
            pixels[:: 2 if name == "striped" else 99] = 0
            path = folder / name / f"{i}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(pixels.astype(np.uint8)).save(path)
    return folder


@pytest.fixture(scope="module", autouse=True)
def without_the_studys_own_page():
    """Which is tested elsewhere; and half of the training part alone for the curve over data."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("bench.execution.callbacks.redraw", lambda *_, **__: [])
        patch.setattr("bench.execution.smaller_parts.SHARES", (2,))
        yield


@pytest.fixture(scope="module")
def tried(tmp_path_factory):
    """The smallest comparison of two methods, whatever the budget."""
    folder = tmp_path_factory.mktemp("mine")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LORA_BENCH_CACHE", str(tmp_path_factory.getbasetemp() / "cache"))
        patch.setattr(planning, "CANDIDATES", ((LinearProbe(),), (LoRA(rank=1),)))
        patch.setattr(planning, "larger", lambda *_: iter(()))
        patch.setattr("bench.execution.own_data.smallest", SMALL)
        wanted = Wanted(str(pictures(folder / "squares")), model=VIT, results=folder / "results", jobs=1)
        return wanted, try_data(wanted)


def test_it_ends_with_a_page_that_begins_with_the_recommendation(tried):
    wanted, found = tried
    text = found.page.read_text()
    assert found.page == wanted.results / "try-squares" / "README.md"
    assert text.startswith(f"# squares\n\n**{found.advice[0]}**") and found.advice[0].startswith("Use ")
    for heading in ("What to do next", "What each method reaches and costs", "Every class", "Would more labels help?"):
        assert f"\n## {heading}\n" in text
    assert all(f"| {name} |" in text for name in ("bright", "dark", "striped"))
    drawn = {path.stem for path in (found.page.parent / "figures").glob("*.png")}
    assert drawn == {"confusion", "reliability", "data_curve"} and all(f"figures/{name}.png" in text for name in drawn)
    assert f"bench predict {found.run}" in text and Records(found.page.parent / "laptop").read(found.run)


def test_as_frames_for_notebooks(tried):
    _, found = tried
    assert found.methods.recommended.sum() == 1 and set(found.methods.method) == {"linear probe", "LoRA r=1"}
    assert list(found.classes.name) == ["bright", "dark", "striped"] and found.classes.support.sum() == 12
    assert list(found.curve.samples) == [19, 39] and str(found).startswith("Use ")
    assert set(found.mistakes.get("label", [])) <= {"bright", "dark", "striped"}


def test_the_same_command_does_nothing_twice_and_a_page_is_made_of_records(tried, capsys):
    wanted, found = tried
    before = found.page.read_text()
    runs = {path: path.stat().st_mtime_ns for path in found.page.parent.glob("*/runs/*.json")}
    again = try_data(wanted)
    told = capsys.readouterr().out
    assert "timing" not in told and "0 runs to do" in told and again.advice == found.advice
    assert {path: path.stat().st_mtime_ns for path in found.page.parent.glob("*/runs/*.json")} == runs
    found.page.unlink()
    assert page.redrawn(found.page.parent) == found.page and found.page.read_text() == before
    assert page.redrawn(found.page.parent.parent) is None


def test_smaller_parts_train_with_what_was_chosen(tried):
    _, found = tried
    chosen = Records(found.page.parent / "laptop").read(found.run)
    fewer = [r for r in Records(found.page.parent / "data").all() if r["phase"] == "final"]
    assert {r["training"]["lr"] for r in fewer} == {chosen["training"]["lr"]}
    assert {r["provenance"]["train_samples"] for r in fewer} == {19}
    assert {r["provenance"]["test_samples"] for r in fewer} == {12}, "the same test part"


def test_too_little_of_anything_is_one_line_that_says_what_would_do(tried, tmp_path, monkeypatch):
    wanted, _ = tried
    monkeypatch.setattr(planning, "CANDIDATES", ((LinearProbe(),),))

    def refused(told, **change):
        with pytest.raises(BadInput, match=told) as error:
            try_data(replace(wanted, results=tmp_path / "r", **change))
        assert len(str(error.value).splitlines()) == 1 and not list((tmp_path / "r").glob("*/*/runs/*.json"))

    refused(
        r"a budget of 5 s is too small: the smallest comparison .* takes about .*; --budget \d+m would do", budget=5
    )
    refused(r"a memory of 100 KiB is too small: the smallest candidate, LinearProbe\(\), needs about .*MiB would do",
            memory=100 * 1024)  # fmt: skip
    refused("unknown metric of images 'macro': did you mean 'macro_f1'", metric="macro")
    refused("it takes text, not images", model="minilm-l6")
    for i, name in enumerate(("one", "three")):
        pictures(tmp_path / name, n=1 if i else 3)
    for other in ("dark", "striped"):
        for path in (tmp_path / "one" / other).iterdir():
            path.unlink()
    refused(r"has one class \(bright\)", path=str(tmp_path / "one"))
    pictures(tmp_path / "parts" / "train", n=3)
    (tmp_path / "parts" / "test" / "new").mkdir(parents=True)
    Image.new("RGB", (16, 16)).save(tmp_path / "parts" / "test" / "new" / "0.png")
    refused("class 'new' occurs in val or test but not in train", path=str(tmp_path / "parts"))
    refused("are needed, one for each part", path=str(tmp_path / "three"))


def test_on_the_command_line(tried, monkeypatch):
    asked = []
    monkeypatch.setattr("bench.execution.own_data.try_data", asked.append)
    words = ["try", "p.csv", "--text", "a, b", "--label", "c", "--budget", "2h", "--memory", "8GiB", "--jobs", "1"]
    assert CliRunner().invoke(app, words).exit_code == 0
    assert asked == [Wanted("p.csv", ("a", "b"), "c", budget=7200.0, memory=8 * 2**30, jobs=1)]
    for wrong, said in ((["--budget", "soon"], "'soon' is no time"), (["--text", "a,b,c"], "name one column, or two")):
        with pytest.raises(BadInput, match=said):
            CliRunner().invoke(app, ["try", "p.csv", *wrong], catch_exceptions=False)

    def stopped(_):
        raise KeyboardInterrupt

    monkeypatch.setattr("bench.execution.own_data.try_data", stopped)
    left = CliRunner().invoke(app, ["try", "p.csv"])
    assert left.exit_code == 130 and "the same command goes on from there" in left.output


def test_interrupted_it_goes_on_with_what_was_decided(tried, tmp_path, monkeypatch, capsys):
    wanted, _ = tried
    monkeypatch.setattr(planning, "CANDIDATES", ((LinearProbe(),),))
    monkeypatch.setattr(planning, "larger", lambda *_: iter(()))

    def stopped(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr("bench.execution.own_data.carry_out", stopped)
    told = []
    for change in ({}, {}, {"budget": 3600.0}):
        with pytest.raises(KeyboardInterrupt):
            try_data(replace(wanted, results=tmp_path, **change))
        told.append("timing a few steps" in capsys.readouterr().out)
    assert told == [True, False, True], "another budget is another comparison"


def test_what_is_too_slow_is_planned_again_smaller(tried, tmp_path, monkeypatch, capsys):
    wanted, _ = tried
    monkeypatch.setattr(planning, "CANDIDATES", ((LinearProbe(),),))
    seen = []

    def slow(parts, *_, **__):
        seen.append(parts[0])
        if len(seen) < 2:
            raise Slower(1e6)
        raise KeyboardInterrupt

    monkeypatch.setattr("bench.execution.own_data.carry_out", slow)
    with pytest.raises(KeyboardInterrupt):
        try_data(replace(wanted, results=tmp_path))
    first, second = seen
    assert (second.tune.trials, len(second.seeds)) < (first.tune.trials, len(first.seeds))
    assert "runs took 1000000.0 times as long as foreseen: planned again" in capsys.readouterr().out
    kept = json.loads((tmp_path / "try-squares" / PLAN).read_text())
    assert kept["size"]["trials"] == second.tune.trials and kept["notes"][-1].startswith("runs took 1000000.0 times")


def test_a_budget_is_watched_once_a_tenth_of_it_is_over(monkeypatch):
    now = iter([0.0, 5.0, 20.0, 20.0])
    monkeypatch.setattr("bench.execution.pace.time.monotonic", lambda: next(now))
    paced = watch(100.0)
    paced(900.0, 9.0)  # a first run tells little
    paced(100.0, 1.0)
    with pytest.raises(Slower):
        paced(120.0, 1.3)


def test_records_of_another_size_move_aside(tried, tmp_path):
    _, found = tried
    shutil.copytree(found.page.parent / "laptop", tmp_path / "laptop")
    records = Records(tmp_path / "laptop")
    only(STUDY, records)
    assert not records.all() and len(list(records.retired.glob("*.json"))) > 4


def test_what_does_not_fit_the_memory_is_left_out_and_said(tried, tmp_path, monkeypatch, capsys):
    wanted, _ = tried
    monkeypatch.setattr(planning, "CANDIDATES", ((LinearProbe(),), (FullFineTuning(),)))
    monkeypatch.setattr(planning, "larger", lambda *_: iter(()))
    monkeypatch.setattr("bench.execution.own_data.carry_out", lambda *_, **__: [])
    with pytest.raises(BadInput, match="no final run"):
        try_data(replace(wanted, results=tmp_path, memory=3 * 2**20))
    told = capsys.readouterr().out
    assert "left out: FullFineTuning() needs about " in told and "3 MiB are allowed" in told
    assert json.loads((tmp_path / "try-squares" / "laptop" / ".." / PLAN).read_text())["methods"] == ["LinearProbe()"]


def test_a_larger_budget_buys_more(tmp_path):
    task, model = ImageFolder(str(pictures(tmp_path / "many", n=150))), Timm("vit_small_patch14_dinov2")
    sizes = planning.image_sizes(task, model, "cpu")
    assert sizes == (56, 98, 154, 224) and planning.image_sizes(task, model, "cuda") == (None,)

    def bought(budget):
        speeds = [Speed(0.4, 0.1, cached, (200, 66, 90), 2, Training()) for cached in (True, False)]
        start = planning.smallest(task.sizes(), task.classes, sizes)
        return planning.bought(task, list(map(Row, speeds)), start, sizes=sizes, budget=budget, jobs=2)

    small, large = bought(300), bought(7200)
    assert small.seconds <= 0.7 * 300 and small.seconds < large.seconds <= 0.7 * 7200
    assert small.size.train in (200, None) and large.size.train is None
    assert large.size.image_size > small.size.image_size and large.size.steps > small.size.steps
    part = planning.study("x", task, model, (LinearProbe(), LoRA(rank=8)), Size(56, 200, 60, 3, 2))
    assert (part.tune.pruner, part.tune.trials, part.seeds) == ("halving", 3, (0, 1))
    assert part.tasks[0].sizes() == (200, 72, 90) and part.models[0].image_size == 56


class Row(NamedTuple):
    """As much of a plan's row as a budget is reckoned with."""

    speed: Speed


def test_texts_are_cut_where_most_of_them_end(tmp_path):
    words = random.Random(0)
    rows = [f"{' '.join(words.choices('abcdefgh', k=24))},{i % 2}" for i in range(60)]
    (tmp_path / "t.csv").write_text("text,label\n" + "\n".join(rows))
    task = TextCsv(str(tmp_path / "t.csv"))
    assert planning.sized(HuggingFace("minilm-l6"), task, None).max_length == 64, "24 words are about 38 tokens"
    assert planning.sized(HuggingFace("minilm-l6", max_length=16), task, None).max_length == 16


def test_on_a_network_without_attention_lora_goes_to_the_convolutions(tmp_path):
    task = ImageFolder(str(pictures(tmp_path / "p", n=4)))
    found, left = planning.candidates(task, Timm("resnet10t", weights="random", image_size=32))
    assert [type(method).__name__ for method in found] == [
        "LinearProbe",
        "LoRA",
        "LoRA",
        "AdaptFormer",
        "FullFineTuning",
    ]
    assert {method.at for method in found if isinstance(method, LoRA)} == {("conv", "proj")} and not left


@pytest.mark.parametrize("what", ["README", "script"])
def test_what_the_readme_and_the_script_say_runs(tried, monkeypatch, capsys, what):
    """On the pictures, model and records of the comparison that was made above."""
    wanted, found = tried
    monkeypatch.chdir(wanted.results.parent)
    Image.new("RGB", (16, 16), (210, 210, 210)).save("new.png")
    real = try_data

    def with_what_is_there(asked):
        assert (asked.path, asked.budget) == ("pictures/", 1800.0)
        return real(wanted)

    monkeypatch.setattr("bench.execution.own_data.try_data", with_what_is_there)
    if what == "README":
        (lines,) = re.findall(r"```python\n(import bench\n.*?)```", (ROOT / "README.md").read_text(), re.S)
        exec(lines, {})
    else:
        monkeypatch.setattr("sys.argv", ["own_data.py"])
        runpy.run_path(str(ROOT / "studies" / "own_data.py"), run_name="__main__")
    told = capsys.readouterr().out
    assert found.advice[0] in told and "linear probe" in told and "page: " in told
    assert ("new.png" in told and "bright" in told) or what != "README", "the model that was kept predicts"


def test_the_front_door_takes_what_people_write(tried, monkeypatch):
    seen = []
    monkeypatch.setattr("bench.execution.own_data.try_data", seen.append)
    bench.try_("p", budget="1h30m", memory="8GiB", model=Timm("resnet10t"), text=("a", "b"))
    assert (seen[0].budget, seen[0].memory, seen[0].model) == (5400.0, 8 * 2**30, "Timm('resnet10t')")
