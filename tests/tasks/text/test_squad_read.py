"""SQuAD's files and the hub's rows: what is read, what is mended, left out or refused."""

from __future__ import annotations

import copy
import os

import pytest

from bench.errors import BadInput
from bench.spec import parse
from bench.tasks import Squad
from bench.tasks.text import squad_read
from bench.tasks.text.squad_read import load
from tests.support.squad_data import ASKED, CONTEXTS, article, folder, write


def test_contexts_of_the_test_part_are_taken_out_of_train(tmp_path):
    task = folder(tmp_path / "twice")
    same = article("Trees", prefix="other-", context=f" {CONTEXTS['Trees'].upper()}", starts=lambda *_: 0)
    for entry in same["paragraphs"][0]["qas"]:
        entry["answers"][0]["text"] = entry["answers"][0]["text"].upper()
    write(tmp_path / "twice" / "train-v1.1.json", [*(article(t) for t in ("Rivers", "Cities")), same])
    pool = task.pool()
    assert pool.removed["duplicates_removed"] == 3 and len(pool.development) == 6
    assert pool.removed["answers_moved"] == 3, "none stands at 0"
    write(tmp_path / "twice" / "train-v1.1.json", [same])
    with pytest.raises(BadInput, match="no training question is left"):
        task.sizes()


def test_misplaced_and_missing_answers(tmp_path):
    """Shifted offsets are put right; an answer that is nowhere is left out if there are few, else refused."""
    many = [article("Cities", prefix=f"{i}-", context=f"{CONTEXTS['Cities']} {i}") for i in range(50)]
    for i, one in enumerate(many):
        one["title"] = f"Cities {i}"
        for entry in one["paragraphs"][0]["qas"]:
            entry["answers"][0]["answer_start"] += 1
    many[7]["paragraphs"][0]["qas"][0]["answers"][0]["text"] = "Spain"
    task = folder(tmp_path / "odd")
    write(tmp_path / "odd" / "train-v1.1.json", many)
    with pytest.warns(UserWarning, match="1 training answers are not in their contexts"):
        pool = task.pool()
    assert pool.removed["answers_removed"] == 1 and pool.removed["answers_moved"] == 149
    assert len(pool.development) == 149
    first = pool.read(0)
    assert first.context.startswith(first.answers[0].text, first.answers[0].start)
    many[8]["paragraphs"][0]["qas"][0]["answers"][0]["text"] = "Spain"
    write(tmp_path / "odd" / "train-v1.1.json", many)
    with pytest.raises(BadInput, match="2 of 150 answers are not in their contexts, the first of id '7-Cities-0'"):
        task.sizes()


def test_the_hubs_rows(monkeypatch):
    """Columns as rajpurkar/squad_v2 has them: no answers where there are none, blanks before questions."""
    rows = [
        {"id": f"{title}-{i}", "title": title, "context": CONTEXTS[title], "question": f"  {question}"}
        | {"answers": {"text": [answer], "answer_start": [CONTEXTS[title].index(answer)]}}
        for title in CONTEXTS
        for i, (question, answer) in enumerate(ASKED[title])
    ]
    rows[-1]["answers"] = {"text": [], "answer_start": []}
    asked = []
    monkeypatch.setattr(
        squad_read, "from_hub", lambda name: asked.append(name) or {"train": rows[:9], "validation": rows[9:]}
    )
    monkeypatch.setattr(squad_read, "_of_hub", squad_read._of_hub.__wrapped__)
    source = load("hub-v2")
    assert asked == ["rajpurkar/squad_v2"] and source.pool.name == "squad-v2" and source.unanswerable
    assert source.questions[0].question == "Where does the Rhine rise?" and not source.questions[-1].answers
    assert Squad("hub-v2").sizes() == (6, 1, 3), "a tenth to choose on; the rest of its article is not trained on"


def test_specification():
    assert repr(Squad()) == "Squad(path='hub')" and Squad().name == "squad" and Squad("hub-v2").name == "squad-v2"
    assert parse("Squad('x.json', stride=64)", known={"Squad": Squad}, kind="task") == Squad("x.json", stride=64)
    for options in ({"stride": -1}, {"longest_answer": 0}, {"train": 0}, {"stride": 1.5}):
        with pytest.raises(BadInput):
            Squad(**options)


def broken(change):
    """Three articles with something changed in the first question's entry, paragraph or article."""
    made = copy.deepcopy([article(title) for title in ("Rivers", "Cities", "Trees")])
    change(made[0], made[0]["paragraphs"][0], made[0]["paragraphs"][0]["qas"][0])
    return made


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda a, p, q: a.pop("paragraphs"), "article 0 has no 'paragraphs'"),
        (lambda a, p, q: p.pop("context"), "article 0, paragraph 0 has no 'context'"),
        (lambda a, p, q: q.pop("answers"), r"question 0 \(Rivers-0\) has no 'answers'"),
        (lambda a, p, q: q["answers"][0].pop("answer_start"), "has no 'answer_start'"),
        (lambda a, p, q: q.update(answers=[]), "has no answers and is not marked is_impossible"),
        (lambda a, p, q: q.update(answers={}), "'answers' is dict"),
        (lambda a, p, q: q.update(is_impossible="false"), "'is_impossible' is str"),
        (lambda a, p, q: q.update(question=" "), "'Rivers-0' has an empty question"),
        (lambda a, p, q: p.update(context="\n"), "'Rivers-0' has an empty context"),
        (lambda a, p, q: q.update(id="Rivers-1"), "has the id 'Rivers-1' twice"),
    ],
)
def test_bad_files(tmp_path, change, said):
    write(tmp_path / "bad.json", broken(change))
    with pytest.raises(BadInput, match=said) as error:
        Squad(str(tmp_path / "bad.json")).sizes()
    assert "\n" not in str(error.value)


def test_bad_paths_and_sizes(tmp_path):
    def said(path, **options):
        with pytest.raises(BadInput) as error:
            Squad(str(path), **options).sizes()
        assert "\n" not in str(error.value)
        return str(error.value)

    assert "is no file or folder" in said(tmp_path / "none")
    task = folder(tmp_path / "sizes")
    assert "test=4 is more than the 3 questions" in said(task.path, test=4)
    assert "ask for other sizes" in said(task.path, train=100)
    assert Squad(task.path, train=3, val=2, test=2).sizes() == (3, 2, 2)
    (tmp_path / "sizes" / "dev-v1.1.json").unlink()
    assert "needs one dev*.json; it has none" in said(task.path)
    write(tmp_path / "sizes" / "train-v2.0.json", [])
    assert "it has several: train-v1.1.json, train-v2.0.json" in said(task.path)
    (tmp_path / "list.json").write_text("[1, 2]")
    assert "list.json has no 'data': this is not SQuAD's JSON" in said(tmp_path / "list.json")
    (tmp_path / "text.json").write_text("no json")
    assert "cannot be read as JSON" in said(tmp_path / "text.json")
    write(tmp_path / "empty.json", [])
    assert "has no questions" in said(tmp_path / "empty.json")


@pytest.mark.parametrize("names", [("Train-v2.json", "Dev-v2.json"), ("TRAIN.JSON", "dev.json")])
def test_names_of_files_in_any_case(tmp_path, names):
    for name, titles in zip(names, (("Rivers", "Cities"), ("Trees",)), strict=True):
        write(tmp_path / name, [article(title) for title in titles])
    assert Squad(str(tmp_path)).sizes()[2] > 0


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16"])
def test_files_with_a_mark_among_litter(tmp_path, encoding):
    task = folder(tmp_path / "set")
    sizes, train = task.sizes(), tmp_path / "set" / "train-v1.1.json"
    train.write_bytes(train.read_text(encoding="utf-8").encode(encoding))
    (tmp_path / "set" / "._train-v1.1.json").write_bytes(b"\0")
    (tmp_path / "set" / "train-old.json").symlink_to("nowhere")
    os.mkfifo(tmp_path / "set" / "dev-pipe.json")
    assert task.sizes() == sizes


@pytest.mark.parametrize("text", ["[" * 30_000 + "]" * 30_000, '{"data": ' + "[" * 30_000 + "]" * 30_000 + "}"])
def test_json_nested_deeply(tmp_path, text):
    task = folder(tmp_path / "set")
    (tmp_path / "set" / "train-v1.1.json").write_text(text)
    with pytest.raises(BadInput, match=r"train-v1.1.json") as caught:
        task.sizes()
    assert "\n" not in str(caught.value) and len(str(caught.value)) < 1300
