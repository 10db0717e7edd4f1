"""The report: from records alone, the same bytes twice, whole for a study that has only begun, nothing averaged
that must not be, and labels that do not overlap."""

from __future__ import annotations

import json
import subprocess
import sys
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bench.records import Records, run_id
from bench.report import redraw
from bench.report.groups import groups
from bench.report.labels import spread
from bench.report.style import look
from bench.stats import bootstrap_interval

Case = tuple[str, dict[str, Any], int, float, float]  # method, fields, backbone parameters, accuracy, seconds
PROBE: Case = ("LinearProbe", {}, 0, 0.814, 1.2)
FULL: Case = ("FullFineTuning", {}, 21_589_632, 0.851, 18.4)
LORAS: list[Case] = [
    ("LoRA", {"rank": rank, "alpha": 16.0, "at": ["q", "v"]}, 18_432 * rank, 0.846 + 0.002 * step, 11.2 + 0.1 * step)
    for step, rank in enumerate((1, 2, 4, 8, 16, 32, 64))
]
RIVALS: list[Case] = [
    ("BitFit", {}, 51_456, 0.847, 9.8),
    ("Houlsby", {"width": 64}, 1_190_400, 0.855, 13.5),
    ("Pfeiffer", {"width": 64}, 595_200, 0.849, 10.5),
    ("AdaptFormer", {"width": 64}, 595_212, 0.857, 11.0),
    ("FeatureLoRA", {"rank": 8, "depth": 1}, 6_144, 0.822, 1.6),
]
STUDY = [PROBE, FULL, *LORAS, *RIVALS]
FIGURES = ("accuracy_vs_parameters", "accuracy_vs_time", "learning_curves", "trainable_parameters")


def record(case: Case, seed: int, **changes: Any) -> dict[str, Any]:
    """A record as a study writes it. Invented numbers: for tests, never for results/."""
    name, config, backbone, accuracy, seconds = case
    top1 = accuracy + 0.006 * ((seed * 7 + len(name)) % 3 - 1)
    rank = config.get("rank")
    curve = [{"epoch": epoch, "val": {"top1": top1 - 0.1 / epoch}} for epoch in (1, 2, 3)]
    spec = f"{name}({', '.join(f'{key}={value!r}' for key, value in config.items())})"
    made: dict[str, Any] = {
        "protocol": 1, "study": "rank-sweep", "scale": "laptop", "phase": "final",
        "task": {"spec": "Images('elpv', train=400)", "name": "elpv", "family": "images", "metric": "top1"},
        "model": {"spec": "Timm('vit', image_size=56)", "name": "vit"},
        "method": {"spec": spec, "name": name, "config": config},
        "training": {"lr": 1e-3, "epochs": 3, "precision": "bf16"}, "seed": seed, "status": "ok", "reason": None,
        "metrics": {"val": {"top1": top1}, "test": {"top1": top1}}, "curve": curve, "best_epoch": 3,
        "parameters": {"backbone": backbone, "head": 770, "total": backbone + 770},
        "time": {"train": seconds + 0.1 * seed, "total": seconds + 2},
        "tuning": {
            "candidates": [{"lr": lr} for lr in (1e-4, 1e-3, 1e-2)], "chosen": {"lr": 1e-3},
            "edge": name == "BitFit", "shared_from": "LoRA(rank=8)" if name == "LoRA" and rank != 8 else None,
        },
        "environment": {"device_name": "EPYC", "threads": 2, "python": "3.11.7", "versions": {"torch": "2.15.0"}},
        "provenance": {"git_sha": "0123456789abcdef", "ended": "2025-01-01T00:00:00+00:00"},
    }  # fmt: skip
    made |= changes
    return made | {"run_id": run_id({key: value for key, value in made.items() if key != "run_id"})}


def failed(case: Case, seed: int = 0) -> dict[str, Any]:
    return record(case, seed, status="diverged", reason="loss | not finite\nat step 12", metrics={}, curve=[])


def keep(folder: Path, cases: list[Case], seeds: tuple[int, ...] = (0, 1, 2), **changes: Any) -> None:
    for case in cases:
        for seed in seeds:
            Records(folder).write(record(case, seed, **changes))


def text(folder: Path) -> str:
    return (folder / "README.md").read_text()


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A whole study, drawn once."""
    folder = tmp_path_factory.mktemp("results") / "rank-sweep" / "laptop"
    keep(folder, STUDY)
    Records(folder).write(failed(FULL, seed=7))
    redraw(folder, question="Does rank matter?")
    return folder


def test_interval_of_three_values_is_their_range() -> None:
    # the lowest alone is drawn three times with probability 1/27, more than 2.5 %
    assert bootstrap_interval([0.5, 0.8, 0.6], np.random.default_rng(0)) == pytest.approx((0.5, 0.8))


def test_interval_by_hand() -> None:
    # a resample of 0, 0, 0, 1 holds Binomial(4, 1/4) ones: P(none) = .316, P(3 or more) = .051, P(4) = .004
    assert bootstrap_interval([0, 0, 0, 1], np.random.default_rng(1)) == (0.0, 0.75)
    assert bootstrap_interval([0, 0, 0, 1], np.random.default_rng(1), level=0.5) == (0.0, 0.5)


def test_no_interval_from_one_value() -> None:
    assert bootstrap_interval([0.8], np.random.default_rng(0)) is None


def test_everything_is_written_and_again_the_same(study: Path) -> None:
    before = {path: path.read_bytes() for path in study.rglob("*") if path.is_file()}
    written = redraw(study)  # without the question, which stays as it was
    expected = [study / "figures" / f"{name}.{kind}" for name in FIGURES for kind in ("png", "svg")]
    assert set(written) == {study / "table.csv", study / "README.md", *expected}
    assert {path: path.read_bytes() for path in study.rglob("*") if path.is_file()} == before
    assert not any(b"202" in path.read_bytes().split(b"<defs>")[0] for path in written if path.suffix == ".svg")


def test_page_says_what_ran_and_what_came_of_it(study: Path) -> None:
    page = text(study)
    for said in (
        "# rank-sweep (laptop)", "> Does rank matter?", "43 final (42 ok, 1 diverged)", "EPYC (2 threads)",
        "Python 3.11.7, torch 2.15.0", "| `FullFineTuning()` | final | 7 | 0.001 | diverged | loss \\| not finite |",
        "| linear probe | 0 | 770 | 0.814 | 0.808 to 0.820 | 3 | 1.3 | 0.001 |",
        "| BitFit | 51,456 | 770 | 0.847 | 0.841 to 0.853 | 3 | 9.9 | 0.001 (edge) |",
        "| LoRA r=64 | 1,179,648 | 770 | 0.858 | 0.852 to 0.864 | 3 | 11.9 | 0.001 (shared) |",
        "from 3 candidates per method; LoRA's tuned once at r=8 and shared over ranks under α/r.",
        "with 3 seeds: lowest to highest", "Best mean: LoRA r=64, 0.858.", "in 1 of 4 pairs",
    ):  # fmt: skip
        assert said in page
    for link in {part.split(")")[0] for part in page.split("](")[1:]}:
        assert (study / link).is_file()


def test_a_study_that_has_only_begun(tmp_path: Path) -> None:
    keep(tmp_path, LORAS[2:3], seeds=(0,))
    redraw(tmp_path)
    assert "One seed: no interval can be drawn" in text(tmp_path)
    assert "| LoRA r=4 | 73,728 | 770 | 0.850 | one seed | 1 |" in text(tmp_path)
    keep(tmp_path, [PROBE], seeds=(0, 1))
    redraw(tmp_path)
    assert "none for a single seed" in text(tmp_path)
    assert len(list((tmp_path / "figures").iterdir())) == 8


@pytest.mark.parametrize("cases", [[PROBE], [FULL]], ids=["probe", "full"])
def test_a_reference_alone(tmp_path: Path, cases: list[Case]) -> None:
    keep(tmp_path, cases, time={})
    assert len(redraw(tmp_path)) == 10


def test_no_records_and_only_failures(tmp_path: Path) -> None:
    assert [path.name for path in redraw(tmp_path / "none")] == ["table.csv", "README.md"]
    for case in STUDY[:2]:
        Records(tmp_path).write(failed(case))
    assert [path.name for path in redraw(tmp_path)] == ["table.csv", "README.md"]
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
        {"protocol": 2},
        {"task": {"spec": "Images('elpv', train=800)", "name": "elpv", "family": "images", "metric": "top1"}},
    ],
    ids=["device", "threads", "precision", "protocol", "task"],
)
def test_what_must_not_be_averaged_is_apart(changes: dict[str, Any]) -> None:
    here = [record(LORAS[0], seed) for seed in (0, 1)]
    parts = groups([*here, record(LORAS[0], 2, **changes)])
    assert sorted(len(configuration.runs) for part in parts for configuration in part.configurations) == [1, 2]
    assert len({part.slug for part in parts}) == 2


def test_two_devices_have_figures_each_and_old_ones_go(tmp_path: Path) -> None:
    keep(tmp_path, [LORAS[0]])
    redraw(tmp_path)
    assert (tmp_path / "figures" / "learning_curves.png").exists()
    keep(tmp_path, [LORAS[0]], environment={"device_name": "H100", "threads": 2})
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


def boxes(figure: Any) -> list[tuple[str, Any]]:
    """Every text that is shown, with where it stands; ticks beyond the limits exist in matplotlib but are not drawn."""
    from matplotlib.text import Text

    beyond = set()
    for ax in figure.axes:
        for axis, number in ((ax.xaxis, 0), (ax.yaxis, 1)):
            low, high = sorted(axis.get_view_interval())
            ticks = [*axis.get_ticklabels(), *axis.get_ticklabels(minor=True)]
            beyond |= {tick for tick in ticks if not low <= tick.get_position()[number] <= high}
    renderer = figure.canvas.get_renderer()
    shown = [one for one in figure.findobj(Text) if one.get_text().strip() and one.get_visible()]
    return [(one.get_text(), one.get_window_extent(renderer)) for one in shown if one not in beyond]


CLOSE = [(name, config, backbone, 0.85 + accuracy / 50, time) for name, config, backbone, accuracy, time in STUDY]


@pytest.mark.parametrize("name", FIGURES)
@pytest.mark.parametrize("cases", [STUDY, CLOSE], ids=["wide", "close"])
def test_no_text_overlaps_another_or_leaves_the_figure(name: str, cases: list[Case]) -> None:
    from bench.report.figures import KINDS
    from bench.report.style import drawing

    (part,) = groups([record(case, seed) for case in cases for seed in (0, 1, 2)])
    with drawing():
        figure = next(kind for kind in KINDS if kind.name == name).draw(part).figure
        figure.draw_without_rendering()
        found = boxes(figure)
    frame = figure.bbox
    for said, box in found:
        assert frame.x0 - 1 <= box.x0 and box.x1 <= frame.x1 + 1 and frame.y0 - 1 <= box.y0, f"{said!r} leaves"
    for (one, first), (other, second) in combinations(found, 2):
        wide = min(first.x1, second.x1) - max(first.x0, second.x0)
        high = min(first.y1, second.y1) - max(first.y0, second.y0)
        assert wide <= 1 or high <= 1, f"{one!r} overlaps {other!r}"


def test_a_method_far_below_does_not_press_the_others_together() -> None:
    from bench.report.scatter import against_parameters
    from bench.report.style import drawing

    far: Case = ("LinearProbe", {}, 0, 0.45, 1.0)
    (part,) = groups([record(case, seed) for case in [far, *LORAS, *RIVALS[:4]] for seed in (0, 1)])
    with drawing():
        figure = against_parameters(part).figure
    assert figure.axes[0].get_ylim()[0] > 0.8
    assert any("0.447 ↓" in said or "0.450 ↓" in said or "0.453 ↓" in said for said, _ in boxes(figure))


def test_names_are_spread_by_the_least_that_is_needed() -> None:
    assert spread([0.0, 100.0], gap=10) == [0.0, 100.0]
    assert spread([52.0, 50.0, 0.0], gap=10) == [56.0, 46.0, 0.0]


def test_every_method_has_a_look_of_its_own_that_stays() -> None:
    known = [look(name) for name in ("FullFineTuning", "LinearProbe", *(case[0] for case in [LORAS[0], *RIVALS]))]
    assert len({one.colour for one in known}) == len({one.marker for one in known}) == len(known)
    assert look("Novel") == look("Novel")
    assert look("Novel").marker not in {one.marker for one in known}
    assert look("Novel").name == "Novel"


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
    done = subprocess.run(command, check=True, capture_output=True, text=True, cwd=Path(__file__).parents[1])
    assert json.loads(done.stdout) == [[], False, 0]
