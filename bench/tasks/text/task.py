"""Text classification: declared sets, and one's own CSV."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, ClassVar

from torch import Tensor, nn

from bench.errors import BadInput, unknown
from bench.tasks.baselines.tfidf import TfidfLogistic
from bench.tasks.caches import stamps
from bench.tasks.classification import Classification, check_sizes
from bench.tasks.contract import Baseline, Data
from bench.tasks.folder_listing import below, is_folder, is_there
from bench.tasks.pools import Pool, split
from bench.tasks.text.corruptions import CORRUPTIONS
from bench.tasks.text.csv_files import csv_pool
from bench.tasks.text.sets import TEXT_SETS
from bench.tasks.text.tokens import TextSplit, retold, splits

HEADS = ("linear", "mlp")


class TextTask(Classification):
    """What all text classification tasks share."""

    family: ClassVar[str] = "text"
    head_kind: str

    def __post_init__(self) -> None:
        """Refuses sizes that are none, and a head that does not exist."""
        check_sizes(self)
        if self.head_kind not in HEADS:
            raise unknown("head_kind", str(self.head_kind), HEADS)

    def data(self, inputs: Any, *, seed: int) -> Data:
        """The texts as the backbone's tokenizer cuts them.

        Raises:
            BadInput: fewer texts than the split needs.
        """
        pool = self.pool()
        parts = split(pool, train=self.train, val=self.val, test=self.test, seed=seed)
        (train, val, test), provenance = splits(pool, parts, inputs)
        return Data(train, val, test, provenance=provenance)

    @property
    def baselines(self) -> tuple[Baseline, ...]:
        """The majority class; TF-IDF and logistic regression on the run's own training texts and, if these are fewer
        than all, on all."""
        thinned = self.train is not None or self.pool().default_train is not None
        words = (TfidfLogistic(), TfidfLogistic(texts="all")) if thinned else (TfidfLogistic(),)
        return (*super().baselines, *words)

    @property
    def corruptions(self) -> tuple[str, ...]:
        """What can be done to the texts: `bench.tasks.text.corruptions`."""
        return tuple(CORRUPTIONS)

    def corrupted(self, split: TextSplit, inputs: Any, index: Tensor, name: str, severity: int) -> TextSplit:
        """Some texts of a split at one severity, as they are at 0."""
        if not severity:
            return split.some(index)
        return retold(split.some(index), self.pool(), inputs, lambda text: CORRUPTIONS[name](text, severity))

    def head(self, width: int, classes: int = 0) -> nn.Module:
        """A linear classifier, or, as in RoBERTa and BERT, Linear, tanh, Linear."""
        if self.head_kind == "linear":
            return super().head(width, classes)
        return nn.Sequential(nn.Linear(width, width), nn.Tanh(), super().head(width, classes))


@dataclass(frozen=True, repr=False)
class Text(TextTask):
    """A declared set of texts in the low-data protocol (`bench tasks` lists them).

    Args:
        set: name of the set, e.g. "rotten-tomatoes".
        train, val: texts drawn for each, stratified; None for the set's default (800 and 200 for most).
        test: at most so many of the held-out texts; None for all.
        head_kind: "linear", or "mlp": Linear, tanh, Linear, which counts width² + width parameters more.
    """

    set: str
    train: int | None = None
    val: int | None = None
    test: int | None = None
    head_kind: str = "linear"

    def __post_init__(self) -> None:
        if self.set not in TEXT_SETS:
            raise unknown("text set", str(self.set), TEXT_SETS)
        super().__post_init__()

    @property
    def name(self) -> str:
        """The set's name."""
        return self.set

    @property
    def classes(self) -> int:
        """Number of classes, from the declaration."""
        return TEXT_SETS[self.set].classes

    def pool(self) -> Pool:
        """All texts of the set."""
        return _pool(self.set)


@dataclass(frozen=True, repr=False)
class TextCsv(TextTask):
    """Your own texts: a CSV file with a header, or a folder with train.csv and, if there are, val.csv and test.csv.

    Also .tsv, .jsonl, .json and .parquet. `bench plan` says what is done to them.

    Args:
        path: the file or folder. Without a test file a fifth is held out for testing, once for all seeds.
        text: the column with the text, or two columns with a pair of texts.
        label: the column with the class.
        train, val, test: at most so many texts of each; None for all (val: a fifth up to 200, if there is no file).
        head_kind: "linear", or "mlp": Linear, tanh, Linear.
        skip_empty: leave out rows without text or label, rather than refuse the file.
        encoding: of the files, such as "latin-1"; None to find out: UTF-8, UTF-16 and UTF-32 are told, others guessed.
    """

    path: str
    text: str | tuple[str, str] = "text"
    label: str = "label"
    train: int | None = None
    val: int | None = None
    test: int | None = None
    head_kind: str = "linear"
    skip_empty: bool = False
    encoding: str | None = None

    shows: ClassVar[tuple[str, ...]] = ("text", "label")

    def __post_init__(self) -> None:
        if isinstance(self.text, list | tuple) and len(self.text) == 2:
            object.__setattr__(self, "text", tuple(self.text))
        elif not isinstance(self.text, str):
            raise BadInput(f"text={self.text!r}: name one column, or two for pairs: text=('premise', 'hypothesis')")
        if not isinstance(self.path, str):
            raise BadInput(f"path={self.path!r}: give a CSV file, or a folder with train.csv")
        if not isinstance(self.skip_empty, bool) or not isinstance(self.encoding, str | None):
            raise BadInput(f"skip_empty={self.skip_empty!r}, encoding={self.encoding!r}: give a bool, and text or None")
        super().__post_init__()

    @property
    def name(self) -> str:
        """The file's own name."""
        return Path(self.path).expanduser().absolute().stem

    def pool(self) -> Pool:
        """All texts of the file or folder."""
        path = Path(self.path).expanduser()
        files = below(path) if is_folder(path) else [path] * is_there(path)
        return _csv(path, self.text, self.label, self.skip_empty, self.encoding, stamps(files))


@lru_cache(maxsize=8)
def _csv(
    path: Path, text: str | tuple[str, str], label: str, skip_empty: bool, encoding: str | None, _there: tuple[Any, ...]
) -> Pool:
    return csv_pool(path, text=text, label=label, skip_empty=skip_empty, encoding=encoding)


@lru_cache(maxsize=8)
def _pool(name: str) -> Pool:
    return TEXT_SETS[name].load()
