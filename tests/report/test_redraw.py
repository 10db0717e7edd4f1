"""The report: from records alone, the same bytes twice, whole for a study that has only begun, nothing averaged
that must not be, and labels that do not overlap."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from bench.records import Records
from bench.report import redraw
from bench.report.data.groups import groups
from bench.report.data.names import slugs
from bench.report.figures.labels import spread
from bench.report.style import look
from tests.support.report_records import (
    FULL,
    LORAS,
    PROBE,
    RIVALS,
    STUDY,
    Case,
    boxes,
    failed,
    keep,
    overlaps,
    record,
    text,
)

pytestmark = pytest.mark.xdist_group("redraw")  # one worker: the page takes seconds to make

FIGURES = ("accuracy_vs_parameters", "learning_curves", "trainable_parameters", "search")
FILES = (*FIGURES, "learning_rate")
OF_STUDY = ("differences", "pareto_fronts")
NOTHING = ["table.csv", "table.parquet", "README.md", "report.html"]


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A whole study, drawn once."""
    folder = tmp_path_factory.mktemp("results") / "rank-sweep" / "laptop"
    keep(folder, STUDY)
    Records(folder).write(failed(FULL, seed=7))
    redraw(folder, question="Does rank matter?")
    return folder


def test_everything_is_written_and_again_the_same(study: Path) -> None:
    before = {path: path.read_bytes() for path in study.rglob("*") if path.is_file()}
    written = redraw(study)  # without the question, which stays as it was
    expected = [study / "figures" / f"{name}.png" for name in (*FILES, *OF_STUDY)]
    beside = ["table.csv", "table.parquet", "README.md", "report.html", "tables/results.tex", "tables/differences.tex"]
    column = study / "figures" / "column" / "accuracy_vs_parameters.pdf"
    assert set(written) == {*(study / name for name in beside), *expected, column}
    assert {path: path.read_bytes() for path in study.rglob("*") if path.is_file()} == before


def test_page_says_what_ran_and_what_came_of_it(study: Path) -> None:
    page = text(study)
    for said in (
        "# rank-sweep (laptop)", "> Does rank matter?", "43 final (42 ok, 1 diverged)", "EPYC (2 threads)",
        "Python 3.11.7, torch 2.15.0", "| `FullFineTuning()` | final | 7 | 0.001 | diverged | loss \\| not finite |",
        "| linear probe | 0 | 770 | 0.814 | 0.799 to 0.829 | 3 | 1.3 | 0.001 |",
        "| BitFit | 51,456 | 770 | 0.847 | 0.832 to 0.862 | 3 | 9.9 | 0.001 (edge) |",
        "| LoRA r=64 | 1,179,648 | 770 | 0.858 | 0.843 to 0.873 | 3 | 11.9 | 0.001 (shared) |",
        "3 trials each (TPE, median pruning) on 1 tuning seed, over learning rate; "
        "LoRA tuned once, at r=8 for all its ranks, scaled by α/r.",
        "95% interval (Student's)", "Best mean: LoRA r=64, 0.858.", "## Answer",
        "the edge of the search space for BitFit",
    ):  # fmt: skip
        assert said in page
    for link in {part.split(")")[0] for part in page.split("](")[1:]}:
        assert (study / link).is_file()
        assert link.endswith(".png"), "nothing else beside pages is committed"


def test_a_study_that_has_only_begun(tmp_path: Path) -> None:
    keep(tmp_path, LORAS[2:3], seeds=(0,))
    redraw(tmp_path)
    assert "One seed: no interval can be drawn" in text(tmp_path)
    assert "| LoRA r=4 | 73,728 | 770 | 0.850 | one seed | 1 |" in text(tmp_path)
    keep(tmp_path, [PROBE], seeds=(0, 1))
    redraw(tmp_path)
    assert "none for a single seed" in text(tmp_path)
    assert len(list((tmp_path / "figures").glob("*.*"))) == len([*FILES, "pareto_fronts"])


@pytest.mark.parametrize("cases", [[PROBE], [FULL]], ids=["probe", "full"])
def test_a_reference_alone(tmp_path: Path, cases: list[Case]) -> None:
    keep(tmp_path, cases, time={})
    assert len(redraw(tmp_path)) == len(FILES) + 6  # and a figure for a paper's column


def test_no_records_and_only_failures(tmp_path: Path) -> None:
    assert [path.name for path in redraw(tmp_path / "none")] == NOTHING
    for case in STUDY[:2]:
        Records(tmp_path).write(failed(case))
    assert [path.name for path in redraw(tmp_path)] == NOTHING
    assert "None of 2 final runs ended well: there is nothing to draw." in text(tmp_path)
    tuning = record(PROBE, 100, phase="tune", metrics={"val": {"top1": 0.8}}, tuning=None)
    Records(tmp_path / "tuning").write(tuning)
    redraw(tmp_path / "tuning")
    assert "No final run has ended yet" in text(tmp_path / "tuning")


@pytest.mark.parametrize(
    "changes",
    [
        {"environment": {"device_name": "H100", "threads": 2}},
        {"environment": {"device_name": "EPYC", "threads": 4}},
        {"training": {"lr": 1e-3, "epochs": 3, "precision": "fp32"}},
        {"protocol": 1},
        {"task": {"spec": "Images('elpv', train=800)", "name": "elpv", "family": "images", "metric": "top1"}},
    ],
    ids=["device", "threads", "precision", "protocol", "task"],
)
def test_what_must_not_be_averaged_is_apart(changes: dict[str, Any]) -> None:
    here = [record(LORAS[0], seed) for seed in (0, 1)]
    parts = groups([*here, record(LORAS[0], 2, **changes)])
    assert sorted(len(configuration.runs) for part in parts for configuration in part.configurations) == [1, 2]
    assert len(set(slugs(parts))) == 2


def test_two_devices_have_figures_each_and_old_ones_go(tmp_path: Path) -> None:
    keep(tmp_path, [LORAS[0]], tuning=None)
    redraw(tmp_path)
    assert (tmp_path / "figures" / "learning_curves.png").exists()
    keep(tmp_path, [LORAS[0]], tuning=None, environment={"device_name": "H100", "threads": 2})
    redraw(tmp_path)
    names = sorted(path.name for path in (tmp_path / "figures").glob("learning_curves*.png"))
    assert [name.split("-")[2] for name in names] == ["epyc", "h100"]
    assert text(tmp_path).count("### Summary") == 2


def test_a_repeated_seed_counts_once_and_training_tells_configurations_apart() -> None:
    again = record(LORAS[0], 0, metrics={"test": {"top1": 0.9}}, provenance={"ended": "2025-02-01T00:00:00+00:00"})
    (part,) = groups([again, record(LORAS[0], 0), record(LORAS[0], 1)])
    assert part.configurations[0].score.values == pytest.approx((0.9, 0.852))  # the later of the two, then seed 1
    longer = record(LORAS[0], 0, training={"lr": 1e-3, "epochs": 9, "precision": "bf16"})
    (part,) = groups([record(LORAS[0], 0), longer])
    assert [configuration.detail for configuration in part.configurations] == ["r=1 epochs 3", "r=1 epochs 9"]


def test_what_was_not_tested_does_not_count() -> None:
    without = record(PROBE, 0, metrics={"val": {"top1": 0.99}})
    tuning = record(PROBE, 1, phase="tune", metrics={"val": {"top1": 0.99}, "test": {"top1": 0.99}})
    (part,) = groups([without, tuning, failed(PROBE, 2)])
    assert part.configurations == ()


CLOSE = [(name, config, backbone, 0.85 + accuracy / 50, time) for name, config, backbone, accuracy, time in STUDY]


@pytest.mark.parametrize("name", FIGURES)
@pytest.mark.parametrize("cases", [STUDY, CLOSE], ids=["wide", "close"])
def test_no_text_overlaps_another_or_leaves_the_figure(name: str, cases: list[Case]) -> None:
    from bench.report.figures.catalogue import KINDS
    from bench.report.style import drawing

    (part,) = groups([record(case, seed) for case in cases for seed in (0, 1, 2)])
    with drawing():
        figure = next(kind for kind in KINDS if kind.name == name).draw(part).figure
        assert overlaps(figure) == []


def test_a_method_far_below_does_not_press_the_others_together() -> None:
    from bench.report.figures.scatter import against_parameters
    from bench.report.style import drawing

    far: Case = ("LinearProbe", {}, 0, 0.45, 1.0)
    (part,) = groups([record(case, seed) for case in [far, *LORAS, *RIVALS[:4]] for seed in (0, 1)])
    with drawing():
        figure = against_parameters(part).figure
    assert figure.axes[0].get_ylim()[0] > 0.8
    assert any("0.447 ↓" in said or "0.450 ↓" in said or "0.453 ↓" in said for said, _ in boxes(figure))


def test_figures_are_pdf_too_and_again_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from bench.report.figures.parameter_bars import parameter_bars
    from bench.report.style import drawing

    monkeypatch.setattr("bench.report.figures.canvas.FORMATS", ("png", "svg", "pdf"))
    (part,) = groups([record(case, seed) for case in STUDY[:3] for seed in (0, 1)])
    with drawing():
        twice = [[path.read_bytes() for path in parameter_bars(part).save(tmp_path, "bars")] for _ in range(2)]
    assert [content[:5] for content in twice[0]] == [b"\x89PNG\r", b"<?xml", b"%PDF-"]
    assert twice[0] == twice[1]
    assert b"202" not in twice[0][1].split(b"<defs>")[0], "no date"


def test_names_are_spread_by_the_least_that_is_needed() -> None:
    assert spread([0.0, 100.0], [10, 10]) == [0.0, 100.0]
    assert spread([52.0, 50.0, 0.0], [10, 10, 10]) == [56.0, 46.0, 0.0]
    assert spread([50.0, 52.0], [30, 10]) == [41.0, 61.0]
    assert spread([99.0, 98.0], [10, 10], within=(0.0, 100.0)) == [95.0, 85.0]
    assert spread([1.0], [10], within=(0.0, 100.0)) == [5.0]


def test_every_known_method_has_a_look_of_its_own() -> None:
    known = [look(name) for name in ("FullFineTuning", "LinearProbe", *(case[0] for case in [LORAS[0], *RIVALS]))]
    assert len({one.colour for one in known}) == len({one.marker for one in known}) == len(known)


@pytest.mark.long
def test_a_notebooks_matplotlib_stays_as_it_was(study: Path, tmp_path: Path) -> None:
    keep(tmp_path, [PROBE])
    code = (
        "import sys, json, bench.report; before = set(sys.modules)\n"
        "assert not {'torch', 'matplotlib', 'seaborn', 'pandas'} & before\n"
        "import matplotlib as mpl; mpl.rcParams['font.size'] = 33.0; old = dict(mpl.rcParams)\n"
        "bench.report.redraw(sys.argv[1])\n"
        "new = dict(mpl.rcParams); changed = [k for k in old if old[k] != new[k]]\n"
        "print(json.dumps([changed, 'torch' in sys.modules, len(sys.modules['matplotlib.pyplot'].get_fignums())]))"
    )
    command = [sys.executable, "-c", code, str(tmp_path)]
    done = subprocess.run(command, check=True, capture_output=True, text=True, cwd=Path(__file__).parents[2])
    assert json.loads(done.stdout) == [[], False, 0]


def test_figures_are_drawn_again_only_where_something_changed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from bench.report.figures.canvas import Canvas

    drawn: list[str] = []
    save = Canvas.save
    monkeypatch.setattr(
        Canvas, "save", lambda self, folder, stem, **more: drawn.append(stem) or save(self, folder, stem, **more)
    )
    keep(tmp_path, [PROBE, FULL, LORAS[0]])
    written = redraw(tmp_path)
    assert drawn and redraw(tmp_path) == written
    number = len(drawn)
    (tmp_path / "figures" / "learning_curves.png").write_bytes(b"touched")
    (tmp_path / "figures" / "column" / "accuracy_vs_parameters.pdf").unlink()
    assert redraw(tmp_path) == written
    assert drawn[number:] == ["accuracy_vs_parameters", "learning_curves"]
    (tmp_path / "drawn.json").write_text("{half")
    redraw(tmp_path)
    assert len(drawn) == 2 * number + 2
    keep(tmp_path, [PROBE], seeds=(3,))
    redraw(tmp_path)
    assert len(drawn) == 3 * number + 2
    other = {"spec": "Images('other')", "name": "other", "family": "images", "metric": "top1"}
    keep(tmp_path, [PROBE, FULL], task=other)
    redraw(tmp_path)
    both = len(drawn)
    keep(tmp_path, [PROBE], seeds=(3,), task=other)
    redraw(tmp_path)
    assert {stem.rpartition(".")[2] for stem in drawn[both:] if "." in stem} == {"other"}, "those of the other stand"
