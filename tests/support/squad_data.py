"""Articles in SQuAD's JSON for tests: one context needs several windows, one has its answer twice."""

from __future__ import annotations

import json

from bench.tasks import Squad

FILLER = "It rained for many days and the river rose over both of its banks. "
CONTEXTS = {
    "Rivers": "The Rhine rises in the Alps, and flows past Köln to the North Sea.",
    "Cities": "Paris is in France. People say that Paris is lovely in May.",
    "Long": FILLER + "In the year 1784 the old bridge fell. " + FILLER * 2,
    "Trees": "The oak grows slowly; the birch grows fast, and the yew outlives them.",
}
ASKED = {
    "Rivers": [("Where does the Rhine rise?", "the Alps"), ("Which city?", "Köln"), ("Which sea?", "the North Sea")],
    "Cities": [("Where is Paris?", "France"), ("Which city is lovely?", "Paris"), ("When is it lovely?", "May")],
    "Long": [("When did it fall?", "1784"), ("What fell?", "the old bridge"), ("What rose?", "the river")],
    "Trees": [("What grows slowly?", "The oak"), ("What grows fast?", "the birch"), ("What lives long?", "the yew")],
}


def article(title, *, prefix="", context="", impossible=False, starts=str.index):
    """An article of one paragraph in SQuAD's JSON."""
    text = context or CONTEXTS[title]
    asked = [
        {
            "id": f"{prefix}{title}-{i}",
            "question": question,
            "answers": [{"text": answer, "answer_start": starts(text, answer)}],
        }
        for i, (question, answer) in enumerate(ASKED[title])
    ]
    if impossible:
        asked.append({"id": f"{prefix}{title}-none", "question": "Who?", "answers": [], "is_impossible": True})
    return {"title": title, "paragraphs": [{"context": text, "qas": asked}]}


def write(path, articles):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({"version": "1.1", "data": articles}), encoding="utf-8")


def folder(path, *, impossible=False):
    """Nine questions to train on, three (or four, one of them without an answer) to test on."""
    write(path / "train-v1.1.json", [article(title, impossible=impossible) for title in ("Rivers", "Cities", "Long")])
    write(path / "dev-v1.1.json", [article("Trees", impossible=impossible)])
    return Squad(str(path), stride=24)
