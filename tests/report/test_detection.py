"""The report of detectors: what they found on pictures, and words for a metric that is no accuracy or not there."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from bench.records import Records
from bench.report import redraw
from bench.report.data.groups import groups
from bench.report.data.matched_boxes import outcome, overlap
from bench.report.figures.examples import chosen, examples
from bench.report.style import drawing
from bench.report.tables.across import across
from tests.support.report_records import (
    FULL,
    LORAS,
    PROBE,
    STUDY,
    boxes,
    detection,
    example,
    jpeg,
    other_task,
    overlaps,
    record,
    reference,
    text,
)

pytestmark = pytest.mark.xdist_group("detection")  # one worker: the page takes seconds to make

TRUE = [[10.0, 10.0, 30.0, 30.0, 0], [50.0, 20.0, 80.0, 60.0, 0]]
FOUND = [[11.0, 10.0, 31.0, 30.0, 0, 0.9], [40.0, 0.0, 50.0, 10.0, 0, 0.4], [50.0, 20.0, 80.0, 60.0, 0, 0.3]]


def test_overlap_by_hand() -> None:
    assert overlap([0, 0, 2, 2], [1, 1, 3, 3]) == pytest.approx(1 / 7)
    assert overlap([0, 0, 2, 2], [0, 0, 2, 2]) == 1
    assert overlap([0, 0, 1, 1], [2, 2, 3, 3]) == overlap([1, 1, 1, 1], [1, 1, 1, 1]) == 0


def test_as_many_predictions_count_as_there_are_true_boxes() -> None:
    came = outcome(list(reversed(FOUND)), TRUE)
    assert (came.found, came.wrong, came.missed) == ((FOUND[0],), (FOUND[1],), (TRUE[1],))
    assert outcome(FOUND, []) == outcome([], [])
    assert outcome([], TRUE).missed == tuple(TRUE)


def test_a_true_box_is_found_once_by_the_best_prediction_of_its_class() -> None:
    again, other = [10.0, 10.0, 30.0, 30.0, 0, 0.8], [50.0, 20.0, 80.0, 60.0, 1, 0.95]
    came = outcome([FOUND[0], again], TRUE)
    assert (came.found, came.wrong) == ((FOUND[0],), (again,))
    came = outcome([FOUND[0], other], TRUE)
    assert (came.found, came.wrong, came.missed) == ((FOUND[0],), (other,), (TRUE[1],))


def test_configurations_to_show_are_chosen_without_looking_at_scores() -> None:
    (part,) = groups([detection(case) for case in STUDY])
    labels = [configuration.label for configuration in chosen(part.configurations)]
    assert labels == ["linear probe", "feature LoRA r=8", "LoRA r=8", "BitFit", "Pfeiffer adapter", "full fine-tuning"]
    (part,) = groups([detection(case) for case in (PROBE, *LORAS, FULL)])
    labels = [configuration.label for configuration in chosen(part.configurations)]
    assert labels == ["linear probe", "LoRA r=1", "LoRA r=8", "LoRA r=64", "full fine-tuning"]
    assert len(chosen(part.configurations[:6])) == 6


@pytest.fixture(scope="module")
def trees(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A study of detectors, drawn once: the probe's records have no examples, and one picture is missing."""
    folder = tmp_path_factory.mktemp("results") / "rank-sweep" / "laptop"
    records = Records(folder)
    there, missing = records.keep_picture(jpeg()), "0123456789abcdef.jpg"
    seen = [example(there, TRUE, FOUND), example(missing, [], FOUND), example("other.jpg", TRUE, [])]
    counts: dict[str, Any] = {"provenance": {"started": "2025", "boxes_clipped": 3, "degenerate_boxes_dropped": 0}}
    for case in (PROBE, LORAS[0], FULL):
        shown: dict[str, Any] = {} if case is PROBE else {"examples": seen[: 3 if case is FULL else 2]}
        for seed in (0, 1):
            records.write(detection(case, seed, **counts, **shown))
    redraw(folder)
    return folder


def test_examples_are_one_png_of_a_sensible_size_and_again_the_same(trees: Path) -> None:
    figures = trees / "figures"
    assert [path.name for path in figures.glob("examples*")] == ["examples.png"]
    before = {path: path.read_bytes() for path in trees.rglob("*") if path.is_file()}
    assert figures / "examples.png" in redraw(trees)
    assert {path: path.read_bytes() for path in trees.rglob("*") if path.is_file()} == before
    with Image.open(figures / "examples.png") as picture:
        assert 1000 <= picture.width <= 1400
        colours = {colour for _, colour in picture.convert("RGB").getcolors(256) or []}
    assert {(255, 255, 255), (0, 0, 0), (0x56, 0xB4, 0xE9)} <= colours  # of the last only a few pixels


def test_examples_say_what_they_show(trees: Path) -> None:
    (part,) = groups(Records(trees).all())
    with drawing():
        figure = examples(part, trees / "pictures").figure
        figure.draw_without_rendering()
        said = [" ".join(words.split()) for words, _ in boxes(figure)]
    for words in (
        "Boxes found on 3 test pictures: trees, vit", "OSBS_029 (0, 256) 2 boxes", "1 of 2 found", "0 of 2 found",
        "no box to find", "not recorded", "picture missing", "true boxes", "LoRA r=1", "prediction that is on none",
        "box AP 0.349 (0.311 to 0.387, 2 seeds)",
    ):  # fmt: skip
        assert words in said
    assert "linear probe" not in said
    footnote = (
        "Without recorded predictions: 1 more. Missing: pictures/0123456789abcdef.jpg. Missing: pictures/other.jpg."
    )
    assert footnote in " ".join(said) and "by rule" not in " ".join(said)


@pytest.mark.parametrize("size", [(96, 64), (40, 96), (640, 120)])
def test_no_text_of_the_examples_overlaps_another(tmp_path: Path, size: tuple[int, int]) -> None:
    picture = Records(tmp_path).keep_picture(jpeg(*size))
    title = "a_picture_with_a_long_name_20150714.png (1024, 768)"
    one = example(picture, TRUE, FOUND, width=size[0], height=size[1], title=title)
    seen = [one, one | {"picture": "other.jpg", "title": "b"}, one | {"picture": "third.jpg", "title": "c"}]
    (part,) = groups([detection(case, seed, examples=seen) for case in STUDY for seed in (0, 1, 2)])
    with drawing():
        figure = examples(part, tmp_path / "pictures").figure
        assert overlaps(figure) == []
        assert "6 of 14 configurations, by rule" in " ".join(figure.get_supxlabel().split())


def test_a_picture_that_is_no_picture_and_several_classes(tmp_path: Path) -> None:
    name = Records(tmp_path).keep_picture(b"no JPEG")
    (part,) = groups([detection(PROBE, examples=[example(name, TRUE, FOUND, classes=["oak", "pine"])])])
    with drawing():
        said = [words for words, _ in boxes(examples(part, tmp_path / "pictures").figure)]
    assert "picture missing" in said and said.count("oak") == 5


def test_examples_go_with_their_records_and_stand_only_in_their_group(tmp_path: Path) -> None:
    records = Records(tmp_path)
    picture = records.keep_picture(jpeg())
    path = records.write(detection(PROBE, examples=[example(picture, TRUE, FOUND)]))
    records.write(record(PROBE, 0))
    redraw(tmp_path)
    assert [path.name for path in (tmp_path / "figures").glob("examples*")] == ["examples.trees.png"]
    assert text(tmp_path).count("![examples](figures/examples.trees.png)\n") == 1
    path.write_text(
        json.dumps({key: value for key, value in json.loads(path.read_text()).items() if key != "examples"})
    )
    redraw(tmp_path)
    assert not list((tmp_path / "figures").glob("examples*")) and "examples" not in text(tmp_path)


def test_the_page_speaks_of_box_ap(trees: Path) -> None:
    for said in (
        "![box AP vs parameters](figures/accuracy_vs_parameters.png)", "![examples](",
        "- **Left out or cut**: boxes clipped 3\n", "| box AP (test) | 95% interval | box AP50 | seeds |",
        "| LoRA r=1 | 18,432 | 770 | 0.349 | 0.311 to 0.387 | 0.549 | 2 |",
    ):  # fmt: skip
        assert said in text(trees)
    assert "accuracy" not in text(trees).replace("figures/accuracy_vs", "").replace("column/accuracy_vs", "")
    (part,) = groups(Records(trees).all())
    from bench.report.figures.scatter import against_parameters

    with drawing():
        shown = [words for words, _ in boxes(against_parameters(part).figure)]
    assert "Box AP (test) against trainable backbone parameters" in shown and "Box AP (test)" in shown


def test_a_metric_that_does_not_exist_is_said_to_be_undefined(tmp_path: Path) -> None:
    none: dict[str, Any] = {"metrics": {"val": {"loss": 1.0}, "test": {"loss": 1.0}}}
    runs = [detection(PROBE, 0), *(detection(LORAS[0], seed, **none) for seed in (0, 1)), detection(FULL, 0)]
    runs += [detection(FULL, 1, **none), record(LORAS[0], 0), reference(0, 0.6)]
    (part, _) = groups(runs)
    assert [one.label for one in part.configurations] == ["linear probe", "full fine-tuning"]
    assert [one.label for one in part.undefined] == ["LoRA r=1"]
    for one in runs:
        Records(tmp_path).write(one)
    redraw(tmp_path)
    page = text(tmp_path)
    assert "| LoRA r=1 | 18,432 | 770 | not defined |  | not defined | 2 | 11.2 |" in page
    assert "| full fine-tuning | 21,589,632 | 770 | 0.357 | one seed | 0.557 | 1 |" in page
    assert "Left out: 3 without box AP on test." in page
    assert "| LoRA r=1 | not defined | 0.846 |" in across(groups(runs))


def test_a_metric_that_exists_for_no_run(tmp_path: Path) -> None:
    Records(tmp_path).write(detection(PROBE, metrics={"val": {"loss": 1.0}, "test": {"loss": 1.0}}))
    assert [path.name for path in redraw(tmp_path)] == ["table.csv", "table.parquet", "README.md", "report.html"]
    assert "The box AP on test is not defined for any final run: there is nothing to draw." in text(tmp_path)


def test_three_families_stand_in_one_overview(tmp_path: Path) -> None:
    news = other_task("news", metric="f1", started="2026")
    scores = {"metrics": {"val": {"f1": 0.7}, "test": {"f1": 0.7, "exact_match": 0.5}}}
    for one in [detection(PROBE), detection(FULL), record(PROBE, 0), record(PROBE, 0, **news | scores)]:
        Records(tmp_path).write(one)
    redraw(tmp_path)
    assert "| method | trees: box AP | news: F1 | elpv: top-1 accuracy |" in text(tmp_path)
    assert "| F1 (test) | 95% interval | exact match | seeds |" in text(tmp_path)
    assert "| top-1 accuracy (test) | 95% interval | seeds |" in text(tmp_path)
