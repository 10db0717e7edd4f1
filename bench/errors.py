"""What a user got wrong, said in one line that tells what to do, and without anybody's password."""

from __future__ import annotations

import os
import re
import sys
import warnings
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from difflib import SequenceMatcher
from functools import cache
from reprlib import Repr
from urllib.parse import parse_qsl, quote, unquote, urlsplit

LONGEST = 1200
"""Characters of a message: what it repeats may be a file."""
HIDDEN = "***"
_LOCAL = ("sqlite", "file")
"""Schemes whose path names a file of this machine."""
_WEB = ("http", "https")
"""Schemes whose path names no database."""
_NAME = (
    r"(?:password|passwd|passphrase|passcode|pwd|secret|token|credentials?|authorization|(?:api|access|secret)[_-]?key)"
)
_URL = re.compile(r"[A-Za-z][A-Za-z0-9+.\-]{0,40}://[^\s\"'<>`]*")
_NAMED = re.compile(
    rf"(?P<name>{_NAME}(?![A-Za-z])[\"']?\s*[=:]\s*)"
    r"(?P<value>(?:bearer|basic)\s+[^\s\"',;)&\]}]+|\"[^\"]*\"|'[^']*'|[^\s\"',;)&\]}]+)",
    re.IGNORECASE,
)
_BEARER = re.compile(r"\b(bearer|basic)\s+[\w.~+/=\-]{8,}", re.IGNORECASE)
_TOKEN = re.compile(
    r"\b(?:hf_|gh[opsu]_|github_pat_|glpat-|dapi|sk-|xox[abprs]-|AKIA|pypi-)[\w\-]{12,}|\beyJ[\w\-]{8,}\.[\w.\-]+"
)

NEAREST = 3
"""Names that a mistake is answered with at most."""
FEW = 8
"""Names that may all be said, where none is near."""
LISTED_BY = {
    "method": "bench methods",
    "model": "bench models PATTERN",
    "detector": "bench models",
    "task": "bench tasks",
    "image set": "bench tasks",
    "text set": "bench tasks",
    "set for detection": "bench tasks",
    "set of GLUE": "bench tasks",
    "asset": "bench assets",
    "study": "bench studies",
}
"""The command that lists all names of a kind."""


class BadInput(ValueError):
    """A mistake of the caller's. The command line prints its one line and exits with code 2."""

    def __init__(self, message: str) -> None:
        super().__init__(shown(scrubbed(cut(message, 4 * LONGEST)), LONGEST))  # scrubbing 10 MB would take hours


def cut(text: str, most: int) -> str:
    """The beginning and the end of a text of more than `most` characters."""
    return text if len(text) <= most else f"{text[: most * 2 // 3]} … {text[len(text) - most // 3 :]}"


def shown(value: object, most: int = 80) -> str:
    """A value from outside as a message may repeat it: printable, on one line, at most `most` characters.

    Control characters, marks that turn the direction of writing and bytes that are no text are written as escapes.
    """
    if not isinstance(value, str):
        try:
            brief = Repr()
            brief.maxlevel = 3
            value = brief.repr(value)
        except (ValueError, RecursionError):  # a number of more digits than Python writes
            return f"a value of type {type(value).__name__}"
    return "".join(
        c if c.isprintable() else c.encode("unicode_escape", "surrogatepass").decode() for c in cut(value, most)
    )


def unknown(kind: str, name: str, known: Iterable[str]) -> BadInput:
    """The error for a name that is not in `known`: the few nearest names, never a long list of all.

    Args:
        kind: what the name stands for, e.g. "method".
        name: what was asked for.
        known: every name that would have done.

    Returns:
        An exception to raise: "unknown method 'LorA': did you mean 'LoRA'?" Where no name is near: all of a few names,
        or else the command that lists them.
    """
    names, said = sorted(set(known)), shown(name, 60)
    if near := nearest(name, names):
        return BadInput(f"unknown {kind} {said!r}: did you mean {either([repr(n) for n in near])}?")
    if len(names) <= FEW:
        return BadInput(f"unknown {kind} {said!r}: known: {', '.join(names) or 'none'}")
    if kind in LISTED_BY:
        return BadInput(f"unknown {kind} {said!r}: {LISTED_BY[kind]} lists the {len(names):,} there are")
    return BadInput(f"unknown {kind} {said!r}: known: {', '.join(names[:FEW])} and {len(names) - FEW} more")


def nearest(name: str, names: Sequence[str]) -> list[str]:
    """The few names that somebody who wrote `name` may have meant, the likeliest first.

    Those that are written nearly alike (difflib's ratio, capitals apart), then the shortest that contain it.
    """
    wanted = name[:100].lower()
    match = SequenceMatcher(b=wanted, autojunk=False)
    alike: list[tuple[float, str]] = []
    for each in names:
        match.set_seq1(each.lower())
        if match.real_quick_ratio() >= 0.5 and match.quick_ratio() >= 0.5 and (ratio := match.ratio()) >= 0.5:
            alike.append((ratio, each))
    alike.sort(key=lambda pair: (-pair[0], len(pair[1]), pair[1]))
    best = alike[0][0] if alike else 0.0
    close = [each for ratio, each in alike if ratio >= best - 0.15 and (best < 1 or ratio == 1)]
    if best < 0.7 and len(wanted) > 2:  # a part of a name is a surer sign than a weak likeness
        inside = sorted((each for each in names if wanted in each.lower()), key=lambda each: (len(each), each))
        close = inside + [each for each in close if each not in inside]
    return close[:NEAREST]


def either(names: Sequence[str]) -> str:
    """Such as "a, b or c"."""
    *first, last = names
    return f"{', '.join(first)} or {last}" if first else last


@cache
def say_once(text: str) -> None:
    """Warns, and never again with the same words: what is true of the data is as true of every run on them.

    Python's own "once" forgets whenever a library touches the filters.
    """
    if text not in _elsewhere:
        warnings.warn(scrubbed(text), stacklevel=3)
    SAID.add(text)


SAID: set[str] = set()
"""What `say_once` has said."""
_elsewhere: set[str] = set()


def speak_in_lines(said: Iterable[str]) -> None:
    """Has this process leave unsaid what another one has said already, and say the rest in a line each.

    Args:
        said: there.
    """
    _elsewhere.update(said)
    warnings.showwarning = lambda message, *_, **__: print(f"bench: {scrubbed(message)}", file=sys.stderr)


def masked(url: str) -> str:
    """A URL for a message or a record: scheme, host, port and database, and nothing else of it.

    User, password, query and fragment go, and the path of a web address. Where two readers would split it in two ways,
    as with a bare "/" or "?" in a password, the scheme alone stays. A path of this machine is no URL, and stays too.

    Args:
        url: of a server, a database or a file, as a person typed it.

    Returns:
        "postgresql://host:5432/trials" of "postgresql://me:secret@host:5432/trials?password=secret".
    """
    scheme, mark, rest = url.strip().partition("://")
    if not mark:
        path = url.partition("?")[0]
        return HIDDEN if "@" in path and ":" in path else path
    kind = scheme.lower().partition("+")[0]
    place, path, after = _parts(rest)
    host = place.rpartition("@")[2]
    sure = re.fullmatch(r"(?:[\w.\-]*|\[[0-9A-Fa-f:.]+\])(?::\d+)?", host)
    unclear = "@" in after or ("@" in path and not (kind in _LOCAL and not place))
    if not sure or unclear or not re.fullmatch(r"[A-Za-z][A-Za-z0-9+.\-]*", scheme):
        return f"{scheme}://{HIDDEN}" if scheme.replace("+", "").isalnum() else HIDDEN
    if kind in _WEB:
        return f"{scheme}://{host}"
    return f"{scheme}://{host}{path if kind in _LOCAL else re.split('[;&=%]', path)[0]}"


def scrubbed(text: object, *urls: str) -> str:
    """A text, as of an exception, for a message or a record: without the secrets that it quotes.

    Args:
        text: with URLs, "password=…", "Bearer …", tokens of well-known forms, or what the environment calls a secret.
        urls: those that the text may quote, whole or in part.

    Returns:
        The text with "***" for each secret. Scrub before you shorten: nothing knows half a token again.
    """
    clean = str(text)
    for url in sorted(filter(None, urls), key=len, reverse=True):
        clean = clean.replace(url, masked(url))
    known = {secret for url in urls for secret in _secrets(url)} | set(_of_environment())
    for secret in sorted(known, key=len, reverse=True):
        clean = re.sub(rf"(?<!\w){re.escape(secret)}(?!\w)", HIDDEN, clean)
    clean = _URL.sub(lambda found: _within(found[0]), clean)
    clean = _NAMED.sub(rf"\g<name>{HIDDEN}", clean)
    return _TOKEN.sub(HIDDEN, _BEARER.sub(rf"\1 {HIDDEN}", clean))


def _parts(rest: str) -> tuple[str, str, str]:
    """What follows "://": place (with its user), path, and the query and fragment."""
    before = re.split(r"[?#]", rest, maxsplit=1)[0]
    place, slash, path = before.partition("/")
    return place, slash + path, rest[len(before) :]


def _within(url: str) -> str:
    """A URL in a text: as `masked`, but a web address keeps its path, which may be what the text is about."""
    bare = url.rstrip(".,;:)]}")
    end, (scheme, _, rest) = url[len(bare) :], bare.partition("://")
    shown = masked(bare)
    if scheme.lower() in _WEB and HIDDEN not in shown:
        shown += _parts(rest)[1]
    return shown + end


def _secrets(url: str) -> set[str]:
    """What no message may quote of a URL: its user, password, query and fragment, as each reader of URLs splits it."""
    _, mark, rest = url.partition("://")
    users = [(rest if mark else url).rpartition("@")[0].partition(":")[::2]]
    queries = [one.partition("=")[::2] for one in re.split("[&;?#]", _parts(rest)[2])]
    with suppress(ValueError):
        parts = urlsplit(url)
        users.append((parts.username or "", parts.password or ""))
        queries += [*parse_qsl(parts.query), ("", parts.fragment)]
    with suppress(Exception):  # it is not installed, or the text is no URL to it
        from sqlalchemy import make_url

        made = make_url(url)
        users.append((made.username or "", str(made.password or "")))
        queries += [(key, str(value)) for key, value in made.query.items()]
    found = {password for _, password in users} | {user for user, _ in users if len(user) > 2}
    for key, value in queries:
        found |= {one for one in (value, "" if value else key) if len(one) > 3 or re.search(_NAME, key, re.IGNORECASE)}
    return {form for one in found for form in (one, unquote(one), quote(one, safe="")) if form}


def _of_environment() -> Iterator[str]:
    """Values of the environment whose names say that they are secret."""
    for name, value in os.environ.items():
        if len(value) > 5 and re.search(rf"(?:^|_|PG){_NAME}(?:$|_)", name, re.IGNORECASE):
            yield value
