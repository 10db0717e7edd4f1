"""Sentences of the documentation whose numbers are queries on the records: where records change, a test says so.

`studies/statements.py` lists them, and is the one place to add one. A sentence stands there with `{name}` where a
number belongs; `numbers` computes these, `holds` says whether what the words claim is so. `tests/test_statements.py`
renders every one and looks for it in its document, and looks for numbers of results in documents that no sentence
holds.
"""

from __future__ import annotations

import ast
import re
import textwrap
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from string import Formatter
from typing import TypeGuard

from bench.errors import BadInput
from bench.records import write_atomically
from bench.report.queries import Facts

WIDTH = 120
"""Of a line, in characters."""


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

    def parts(self, facts: Facts) -> list[tuple[str, str | None]]:
        """Words, and what stands behind them, in turn; None at the end."""
        values, formatter = self.numbers(facts), Formatter()
        found = []
        for words, name, spec, _ in formatter.parse(self.text):
            found.append((words, None if name is None else format(values[name], spec or "")))
        return found

    def rendered(self, facts: Facts) -> str:
        """The sentence as it should stand in its document."""
        return plain("".join(words + (value or "") for words, value in self.parts(facts)))


def plain(text: str) -> str:
    """Words in one line, without marks of lists and emphasis."""
    return re.sub(r"\s+", " ", re.sub(r"(?m)^\s*- ", " ", text).replace("*", "")).strip()


def prose(file: Path) -> str:
    """What a document says: a page without code and pictures, or all docstrings of a module."""
    text = file.read_text(encoding="utf-8")
    if file.suffix == ".py":
        said = [ast.literal_eval(node.value) for node in ast.walk(ast.parse(text)) if _is_text(node)]
        return " ".join(map(plain, said))
    text = re.sub(r"(?ms)^```.*?^```|!\[[^\]]*\]\([^)]*\)", "", text)
    return plain(re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", text))


def _is_text(node: ast.AST) -> TypeGuard[ast.Expr]:
    """Whether a statement is nothing but a text: a docstring of a module, function or value."""
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)


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
      | \b(?:one|two|three|four|five|six|seven|eight|nine|ten|half)\s(?:points?|times)\b|\btwice\sas\s(?!many)""",
    re.X,
)
"""What looks like a result."""
DECLARED = re.compile(r"95\s?%|ten times that of full|an MLP four times as wide|1\.2 or 1\.1 points")
"""What does not: levels of intervals, a question's own words, a standard error."""


def restated(text: str, parts: Sequence[tuple[str, str | None]]) -> str | None:
    """A document with one sentence's numbers as they are now, its paragraph filled anew; None where it is not there.

    Args:
        text: of the whole file.
        parts: of a statement.
    """
    pattern = "".join(_loose(words) + (r"([\s\S]{1,1500}?)" if value is not None else "") for words, value in parts)
    found = re.search(pattern + r"(?=[\s*,;)(]|$)", text)  # the full stop of a sentence, not that of ".883"
    if found is None:
        return None
    values = [value for _, value in parts if value is not None]
    for group in range(len(values), 0, -1):
        start, end = found.span(group)
        text = text[:start] + values[group - 1] + text[end:]
    return _filled(text, found.start())


def _loose(words: str) -> str:
    """A pattern for words as they stand in a file: over lines, in links, emphasised."""
    each = [rf"\[?{re.escape(word)}(?:\]\([^)\s]*\))?" for word in words.split()]
    inner = r"[\s*]+".join(each)
    return r"[\s*]+" * words[:1].isspace() + inner + r"[\s*]+" * (words[-1:].isspace() and bool(each))


def _filled(text: str, place: int) -> str:
    """The paragraph or list item at a place, filled to the width of a line; a row of a table stays."""
    lines, at = text.split("\n"), text[:place].count("\n")
    first = at
    while first and lines[first - 1].strip() and not lines[first].startswith("- "):
        first -= 1
    last = at + 1
    while last < len(lines) and lines[last].strip() and not lines[last].startswith(("- ", '"""')):
        last += 1
    if not lines[first].startswith("|"):
        indent = "  " * lines[first].startswith("- ")
        block = " ".join(line.strip() for line in lines[first:last])
        lines[first:last] = textwrap.wrap(
            block, WIDTH, subsequent_indent=indent, break_on_hyphens=False, break_long_words=False
        )
    return "\n".join(lines)


def rewrite(statements: Sequence[Statement], *, root: Path, results: Path) -> list[str]:
    """Puts the numbers of all statements into their documents.

    Returns:
        What could not be: a sentence that is not there, words that are false of the records, or no records.
    """
    for one in statements:
        file, facts = root / one.where, one.facts(results)
        text = file.read_text(encoding="utf-8")
        try:
            changed = restated(text, one.parts(facts))
        except BadInput:
            continue  # `wrong` says so
        if changed is not None and changed != text:
            write_atomically(file, changed)
    return list(wrong(statements, root=root, results=results))


def unheld(file: Path, statements: Sequence[Statement], *, root: Path, results: Path) -> list[str]:
    """Numbers in a document that look like results and stand in no sentence that is held to the records."""
    text = DECLARED.sub("", prose(file))
    for one in statements:
        if (root / one.where) == file:
            text = text.replace(DECLARED.sub("", one.rendered(one.facts(results))), "")
    return [text[max(0, found.start() - 30) : found.end() + 10] for found in RESULT.finditer(text)]
