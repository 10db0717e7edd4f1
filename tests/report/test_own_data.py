"""What a page says of single classes and samples of one's own data, from outcomes whose answer is known."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from bench.records import Records
from bench.records.outcomes import collected
from bench.report import style
from bench.report.data import own_data as data
from bench.report.data.groups import groups
from bench.report.data.measured import Estimate
from bench.report.figures import own_data as figures
from bench.report.page import own_data as page
from bench.report.page.next_steps import best_run, next_steps
from bench.report.page.own_html import write_own_html
from tests.report.test_recommended import FULL, LORA, PROBE, made
from tests.support.report_records import overlaps

NAMES = ("cat", "dog", "a bird of a very long name")
LABEL = np.array([0, 0, 0, 1, 1, 2])
SAID = (np.array([0, 0, 1, 1, 1, 1]), np.array([0, 1, 1, 1, 1, 2]))
SURE = (np.array([0.9, 0.8, 0.95, 0.7, 0.9, 0.6]), np.array([0.9, 0.55, 0.85, 0.7, 0.9, 0.6]))


def two_seeds(*, confidence=True):
    found = []
    for said, sure in zip(SAID, SURE, strict=True):
        columns = {"label": LABEL, "predicted": said, "nll": np.ones(6), **({"confidence": sure} if confidence else {})}
        found.append(collected("classes", 10 + np.arange(6), columns))
    return found


def test_confusion_and_the_scores_of_every_class():
    matrix = data.confusion(two_seeds(), 3)
    assert matrix.tolist() == [[1.5, 1.5, 0], [0, 2, 0], [0, 0.5, 0.5]], "a mean over seeds"
    cat, dog, bird = data.class_scores(matrix, NAMES)
    assert (cat.support, cat.precision, cat.recall, cat.f1) == (3, 1.0, 0.5, pytest.approx(2 / 3))
    assert (dog.precision, dog.recall) == (0.5, 1.0) and (bird.precision, bird.recall) == (1.0, 0.5)
    assert data.class_scores(np.diag([1.0, 0.0, 1.0]), NAMES)[1].f1 == 0.0, "never predicted, never there"


def test_the_most_confident_mistakes_come_first():
    first, second, third = data.mistakes(two_seeds())
    assert (first.id, first.label, first.predicted, first.wrong, first.seeds) == (12, 0, 1, 2, 2)
    assert first.confidence == pytest.approx(0.9, abs=1e-3)
    assert [(m.id, m.wrong, m.predicted) for m in (second, third)] == [(15, 1, 1), (11, 1, 1)]
    old = data.mistakes(two_seeds(confidence=False))
    assert old[0].id == 12 and old[0].confidence is None, "records from before confidences were kept"


def test_reliability_is_the_share_that_is_right_at_each_confidence():
    found = data.reliability(two_seeds())
    assert found.count.sum() == 12 and data.reliability(two_seeds(confidence=False)) is None
    sure, right = np.concatenate(SURE), np.concatenate([said == LABEL for said in SAID])
    last = np.minimum((np.float16(sure).astype(float) * 10).astype(int), 9) == 9
    assert found.accuracy[-1] == pytest.approx(right[last].mean())
    gaps = found.count / 12 * abs(found.accuracy - found.confidence)
    assert found.ece == pytest.approx(gaps.sum())


def boxes():
    """Two pictures: two cats of which one is found, and a dog that is found beside a false cat."""
    columns = {
        "objects": np.array([[2, 0], [0, 1]]), "picture": np.array([0, 1, 0, 1]), "label": np.array([0, 1, 0, 0]),
        "score": np.array([0.9, 0.8, 0.7, 0.6]), "matched": np.zeros((4, 10), bool), "ignored": np.zeros((4, 10), bool),
    }  # fmt: skip
    columns["matched"][[0, 1]] = True
    return collected("boxes", np.array([3, 8]), columns)


def test_boxes_that_are_missed():
    cat, dog = data.box_scores([boxes()], ("cat", "dog"))
    assert (cat.support, cat.recall, dog.support, dog.recall, dog.ap) == (2, 0.5, 1, 1.0, pytest.approx(1.0))
    assert data.missed([boxes()]) == [data.Missed(3, 2.0, 1.0, 1.0)], "the other picture's one box is found"


@pytest.fixture
def folder(tmp_path: Path):
    """A comparison on all of the samples, and full fine-tuning on half of them."""
    for each in made((PROBE, LORA, FULL), samples=200):
        of_all = each | {"provenance": {**each["provenance"], "train_samples": 400}}
        Records(tmp_path / "laptop").write(of_all)
    half = {"provenance": {"data_sha256": "a", "test_samples": 200, "train_samples": 200, "ended": "2025"}}
    half["task"] = {"spec": "Images('elpv', train=200)", "name": "elpv", "family": "images", "metric": "top1"}
    for each in made(((*LORA[:3], 0.85, 9.0),), samples=200, **half):
        if each["phase"] == "final":
            Records(tmp_path / "data").write(each)
    return tmp_path


def test_the_page_of_records_whose_answer_is_known(folder):
    about = {"path": "mine", "classes": ["sound", "defect"], "samples": {"199": {"title": "a.png", "file": "../a.png"}}}
    found = page.gathered(folder, "laptop", about)
    assert found.found.recommended.label == "LoRA r=8" and [p.samples for p in found.curve] == [200, 400]
    text = page.write_page(found).read_text()
    assert text.startswith("# elpv\n\n**Use LoRA r=8: ") and "| sound | 100 |" in text
    assert "[a.png](<../a.png>)" in text and "![Confusion matrix](figures/confusion.png)" in text
    assert "More labels would help: from 200 to 400 training samples it gained +6.5 points" in text
    assert "## How far" not in text, "these records keep no confidences"


def test_the_page_for_a_browser_holds_its_pictures_and_obeys_no_text(tmp_path):
    for place in ("figures/confusion.png", "pictures/ab12.jpg"):
        (tmp_path / place).parent.mkdir()
        (tmp_path / place).write_bytes(b"bytes")
    text = (
        "# mine\n\n![Confusion matrix](figures/confusion.png)\n\n| sample |\n| --- |\n"
        '| <img src="pictures/ab12.jpg" width="96"><br>[a.png](<../a.png>) |\n'
        "| <script>alert(1)</script> <img src=x onerror=alert(1)> [x](javascript:alert(1)) |\n"
    )
    written = write_own_html(tmp_path, "<mine>", text).read_text()
    assert written.count("data:image/png;base64,Ynl0ZXM=") == written.count("data:image/jpeg;base64,Ynl0ZXM=") == 1
    assert "<script" not in written and "<img src=x" not in written and 'href="javascript' not in written
    assert "<title>&lt;mine&gt;</title>" in written and 'href="../a.png"' in written


def test_what_to_do_next_depends_on_what_was_found(folder):
    about = {"path": "mine", "classes": ["sound", "defect"]}
    found = page.gathered(folder, "laptop", about)
    best = best_run(found.found.recommended)
    classes = [data.ClassScore("cat", 9, 0.9, 0.9, 0.9), data.ClassScore("dog", 2, 0.1, 0.1, 0.1)]
    lines = list(next_steps(found.found, found.curve[-1:], classes, about))
    assert lines[0] == f"Use it: `bench predict {best} FILES`; take it elsewhere: `bench export {best} --to merged`."
    assert (
        "Found much worse than the others: dog (2 in test). Label more of these, or join classes that are alike."
        in lines
    )
    assert not any("labels would help" in line for line in lines), "with one point nothing is known"
    same = groups(made((LORA,), samples=200, provenance={"data_sha256": "a", "train_samples": 100}))[0]
    flat = data.curve(found.found.recommended, [same])
    assert any(
        line.startswith("Whether more labels would help is not shown")
        for line in next_steps(found.found, flat, (), about)
    )


def test_the_figures_read_well():
    notes, many = ["Images('elpv'); EPYC; protocol 2."], 30
    matrix = np.eye(many) * 9 + np.tri(many)
    with style.drawing():
        drawn = [
            figures.confusion(data.confusion(two_seeds(), 3), NAMES, subject="elpv, LoRA", notes=notes),
            figures.confusion(matrix, [f"class {k}" for k in range(many)], subject="elpv, LoRA", notes=notes),
            figures.reliability(data.reliability(two_seeds()), subject="elpv, LoRA", notes=notes),
            figures.data_curve(
                [data.Point(n, Estimate((0.8 + n / 1e4, 0.82, 0.81)), None) for n in (100, 200, 400)], metric="top1",
                method="LoRA", subject="elpv, vit", notes=notes,
            ),
        ]  # fmt: skip
    assert [overlaps(canvas.figure) for canvas in drawn] == [[]] * 4
    assert "The 25 most confused of 30 classes." in drawn[1].figure._supxlabel.get_text()
