"""Sentences of the documentation whose numbers are queries on the records: where records change, a test says so.

`studies/statements.py` lists them, and is the one place to add one. A sentence stands there with `{name}` where a
number belongs; `numbers` computes these, `holds` says whether what the words claim is so. `tests/test_statements.py`
renders every one and looks for it in its document, and looks for numbers of results in documents that no sentence
holds.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from bench.errors import BadInput
from bench.report.queries import Facts


@dataclass(frozen=True)
class Statement:
    """A sentence of a document, or a few.

    Args:
        where: the file, from the top of the repository; of a Python file its docstring.
        study: whose records decide; "" for what others published, which stands here with its source.
        text: the words, with {name} where a number belongs. Line breaks and list marks do not count.
        numbers: what stands there, as text.
        holds: whether what the words say of the records is so.
        scale: of the records.
    """

    where: str
    study: str
    text: str
    numbers: Callable[[Facts], Mapping[str, object]] = lambda facts: {}
    holds: Callable[[Facts], bool] = lambda facts: True
    scale: str = "laptop"

    def facts(self, results: Path) -> Facts:
        """What it is computed from."""
        return Facts(results, self.study, self.scale)

    def rendered(self, facts: Facts) -> str:
        """The sentence as it should stand in its document."""
        return plain(self.text.format(**self.numbers(facts)))


def plain(text: str) -> str:
    """Words in one line, without marks of lists and emphasis."""
    return re.sub(r"\s+", " ", re.sub(r"(?m)^\s*- ", " ", text).replace("*", "")).strip()


def prose(file: Path) -> str:
    """What a document says: a page without code and pictures, or a module's docstring."""
    text = file.read_text(encoding="utf-8")
    if file.suffix == ".py":
        return plain(ast.get_docstring(ast.parse(text)) or "")
    text = re.sub(r"(?ms)^```.*?^```|!\[[^\]]*\]\([^)]*\)", "", text)
    return plain(re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", text))


def wrong(statements: Sequence[Statement], *, root: Path, results: Path) -> Iterator[str]:
    """What does not hold, a line each: words that are false of the records, or numbers that are not these."""
    for one in statements:
        facts = one.facts(results)
        try:
            said, so = one.rendered(facts), one.holds(facts)
        except BadInput as error:
            yield f"{one.where}: {one.text.split('{')[0]!r}…: {error}"
            continue
        if not so:
            yield f"{one.where}: its words no longer hold of {one.study} ({one.scale}): {said!r}"
        if said not in prose(root / one.where):
            yield f"{one.where} should say: {said}"


RESULT = re.compile(
    r"""(?<![\w.,])[+−-]?\.\d\d+           # .819
      | (?<![\w.,])\d[\d.,]*\s?(?:%|points?\b|times\b|[KMG]iB\b)   # 12 %, 3 points, 2 times, 121 MiB
      | \b(?:one|two|three|four|five|six|seven|eight|nine|ten|twice|half)\s(?:points?|times)\b""",
    re.X,
)
"""What looks like a result."""
DECLARED = re.compile(r"95\s?%|ten times that of full|1\.2 or 1\.1 points")
"""What does not: levels of intervals, a question's own words, a standard error."""


def unheld(file: Path, statements: Sequence[Statement], *, root: Path, results: Path) -> list[str]:
    """Numbers in a document that look like results and stand in no sentence that is held to the records."""
    text = DECLARED.sub("", prose(file))
    for one in statements:
        if (root / one.where) == file:
            text = text.replace(DECLARED.sub("", one.rendered(one.facts(results))), "")
    return [text[max(0, found.start() - 30) : found.end() + 10] for found in RESULT.finditer(text)]
