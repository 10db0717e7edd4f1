"""Questions in SQuAD's format, from its own JSON or from the hub, checked, as a pool grouped by article."""

from __future__ import annotations

import json
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from fnmatch import fnmatch
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from bench.errors import BadInput
from bench.tasks.caches import stamps
from bench.tasks.folder_listing import entries
from bench.tasks.pools import Pool
from bench.tasks.text.hub_sets import from_hub
from bench.tasks.text.sets import fingerprint, normalised

HUB = {"hub": "rajpurkar/squad", "hub-v2": "rajpurkar/squad_v2"}
LARGEST_VAL = 1000
LOST = 0.01
"""Share of answers that may be missing from their contexts: above it the file is not what it says."""


@dataclass(frozen=True)
class Answer:
    """A reference answer: its text, and the character of the context where it begins; -1 if it is not in there."""

    start: int
    text: str


@dataclass(frozen=True)
class Question:
    """A question on a context. `answers` is empty where the context has none (SQuAD 2.0's is_impossible)."""

    id: str
    title: str
    context: str
    question: str
    answers: tuple[Answer, ...]


@dataclass(frozen=True, eq=False)
class Source:
    """All questions, and the pool that they are split by; `pool.read(i)` is question i."""

    questions: list[Question]
    pool: Pool

    @property
    def unanswerable(self) -> bool:
        """Whether some have no answer, so that "none" is a prediction: SQuAD 2.0."""
        return any(not question.answers for question in self.questions)


def load(path: str) -> Source:
    """The questions of a file, a folder or the hub; kept while the files are the same.

    Args:
        path: "hub" for SQuAD 1.1, "hub-v2" for 2.0; a folder with train*.json and dev*.json; or one .json file.

    Raises:
        BadInput: no such files, not SQuAD's JSON, or answers that are not in their contexts.
    """
    if path in HUB:
        return _of_hub(path)
    place = Path(path).expanduser().absolute()
    if place.is_file():
        files = [place]
    elif place.is_dir():
        files = [_only(place, "train*.json"), _only(place, "dev*.json")]
    else:
        raise BadInput(
            f"{path!r} is no file or folder: give SQuAD's JSON, a folder with its train*.json and dev*.json, "
            f"or {' or '.join(map(repr, HUB))}"
        )
    return _of_files(place.name.removesuffix(".json"), tuple(files), stamps(files))


def _only(folder: Path, pattern: str) -> Path:
    found = [file for file in entries(folder).files if fnmatch(file.name.casefold(), pattern)]
    if len(found) != 1:
        what = f"several: {', '.join(path.name for path in found)}" if found else "none"
        raise BadInput(f"{folder} needs one {pattern}; it has {what}")
    return found[0]


@lru_cache(maxsize=4)
def _of_files(name: str, files: tuple[Path, ...], _stamps: tuple[Any, ...]) -> Source:
    parts = [_checked(list(_parsed(path)), path.name) for path in files]
    return _source(name, parts[0], parts[1] if len(parts) > 1 else None)


@lru_cache(maxsize=2)
def _of_hub(path: str) -> Source:
    made = from_hub(HUB[path])
    parts = []
    for part in ("train", "validation"):
        rows = (
            Question(row["id"], row["title"], row["context"], row["question"].strip(), _answers(row["answers"]))
            for row in made[part]
        )
        parts.append(_checked(list(rows), f"{HUB[path]} ({part})"))
    return _source(path.replace("hub", "squad"), *parts)


def _answers(columns: dict[str, list[Any]]) -> tuple[Answer, ...]:
    return tuple(Answer(*pair) for pair in zip(columns["answer_start"], columns["text"], strict=True))


def _parsed(path: Path) -> Iterator[Question]:
    """The questions of a file in SQuAD's JSON: data → paragraphs → qas."""
    try:
        top = json.loads(path.read_bytes())  # which may begin with a mark, or be UTF-16
    except (OSError, ValueError, RecursionError) as error:
        raise BadInput(f"{path} cannot be read as JSON: {error}") from None
    for a, article in enumerate(_get(top, "data", list, path.name)):
        at = f"{path.name}: article {a}"
        for p, paragraph in enumerate(_get(article, "paragraphs", list, at)):
            context = _get(paragraph, "context", str, f"{at}, paragraph {p}")
            for q, entry in enumerate(_get(paragraph, "qas", list, f"{at}, paragraph {p}")):
                yield _question(entry, str(article.get("title", "")), context, f"{at}, paragraph {p}, question {q}")


def _question(entry: Any, title: str, context: str, where: str) -> Question:
    name = str(_get(entry, "id", str | int, where))
    text, where = _get(entry, "question", str, where), f"{where} ({name})"
    impossible = entry.get("is_impossible")
    if not isinstance(impossible, bool | int | None):  # "false" would be taken for true
        raise BadInput(f"{where}: 'is_impossible' is {type(impossible).__name__}, not as in SQuAD's JSON")
    if impossible:
        return Question(name, title, context, text.strip(), ())
    answers = tuple(
        Answer(_get(answer, "answer_start", int, where), _get(answer, "text", str, where))
        for answer in _get(entry, "answers", list, where)
    )
    if not answers:
        raise BadInput(f"{where} has no answers and is not marked is_impossible")
    return Question(name, title, context, text.strip(), answers)


def _get(entry: Any, key: str, kind: Any, where: str) -> Any:
    if not isinstance(entry, dict) or key not in entry:
        raise BadInput(f"{where} has no {key!r}: this is not SQuAD's JSON (data → paragraphs → context, qas)")
    if not isinstance(entry[key], kind):
        raise BadInput(f"{where}: {key!r} is {type(entry[key]).__name__}, not as in SQuAD's JSON")
    return entry[key]


@dataclass(frozen=True)
class _Part:
    """Questions whose answers were looked up: how many of these lie elsewhere than said, and how many nowhere."""

    questions: list[Question]
    moved: int
    lost: int


def _checked(questions: list[Question], where: str) -> _Part:
    """Every answer put where it is in its context.

    Raises:
        BadInput: nothing there, an id twice, an empty text, or too many answers that are not in their contexts.
    """
    ids: set[str] = set()
    made, moved, lost = [], 0, []
    for question in questions:
        if question.id in ids:
            raise BadInput(f"{where} has the id {question.id!r} twice")
        ids.add(question.id)
        if not question.question or not question.context.strip():
            raise BadInput(f"{where}: {question.id!r} has an empty {'context' if question.question else 'question'}")
        answers = tuple(_located(answer, question.context) for answer in question.answers)
        moved += sum(new.start not in (-1, old.start) for new, old in zip(answers, question.answers, strict=True))
        lost += [question.id for answer in answers if answer.start < 0]
        made.append(replace(question, answers=answers))
    if not made:
        raise BadInput(f"{where} has no questions")
    total = sum(len(question.answers) for question in made)
    if len(lost) > LOST * total:
        raise BadInput(
            f"{where}: {len(lost)} of {total} answers are not in their contexts, the first of id {lost[0]!r}"
        )
    return _Part(made, moved, len(lost))


def _located(answer: Answer, context: str) -> Answer:
    """The occurrence nearest to where the file says it is; -1 if there is none."""
    text = answer.text.strip()
    if text and context.startswith(answer.text, answer.start):
        return answer
    places, place = [], context.find(text) if text else -1
    while place >= 0:
        places.append(place)
        place = context.find(text, place + 1)
    return Answer(min(places, key=lambda p: abs(p - answer.start)) if places else -1, text)


def _source(name: str, train: _Part, test: _Part | None) -> Source:
    """One pool of all: no context on two sides, and no training question without a place to point at."""
    removed = {"answers_moved": train.moved + (test.moved if test else 0), "answers_removed": train.lost}
    if train.lost:
        warnings.warn(f"{name}: {train.lost} training answers are not in their contexts and are left out", stacklevel=2)
    placed = [replace(q, answers=tuple(a for a in q.answers if a.start >= 0)) for q in train.questions]
    kept = [new for new, old in zip(placed, train.questions, strict=True) if new.answers or not old.answers]
    tested = test.questions if test else []
    seen = {normalised(question.context) for question in tested}
    apart = [question for question in kept if normalised(question.context) not in seen]
    removed["duplicates_removed"] = len(kept) - len(apart)
    if not apart:
        raise BadInput(f"{name}: no training question is left whose context is not in the test part too")
    questions = apart + tested
    pool = Pool(
        name=name,
        labels=np.zeros(len(questions), np.float32),
        classes=1,
        read=questions.__getitem__,
        title=lambda i: questions[i].id,
        sha256=fingerprint(questions, ["train"] * len(apart) + ["test"] * len(tested)),
        development=np.arange(len(apart)),
        official_test=np.arange(len(apart), len(questions)) if test else None,
        hold_out=0 if test else max(1, len(apart) // 5),
        default_train=None,
        default_val=max(1, min(LARGEST_VAL, len(apart) // 10)),
        groups=_groups(questions, len(apart), 2 if test else 3),
        removed=removed,
    )
    return Source(questions, pool)


def _groups(questions: Sequence[Question], development: int, least: int) -> np.ndarray:
    """A number a context, or an article where there are at least `least` articles to part."""
    contexts = [str(normalised(question.context)) for question in questions]
    article: dict[str, str] = {}
    for context, question in zip(contexts, questions, strict=True):
        article.setdefault(context, question.title or context)  # one that two articles share belongs to the first
    titles = [article[context] for context in contexts]
    chosen = titles if len(set(titles[:development])) >= least else contexts
    numbers: np.ndarray = np.unique(np.array(chosen, object), return_inverse=True)[1]
    return numbers
