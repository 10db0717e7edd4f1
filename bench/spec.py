"""Specifications: frozen dataclasses whose `repr` is the text that makes them again.

`LoRA(rank=8, at=('q', 'v'))` stands so in a study file, on the command line, in a record and in MLflow. The text is
read with `ast` and never evaluated: it can name a class of a registry and give it literals, nothing else.
"""

from __future__ import annotations

import ast
import math
from collections.abc import Mapping
from dataclasses import MISSING, Field, asdict, fields
from functools import partial
from typing import Any, ClassVar

from bench.errors import BadInput, shown, unknown
from bench.sites import ALL, ATTENTION, CONV, MLP

CONSTANTS: Mapping[str, tuple[str, ...]] = {"ATTENTION": ATTENTION, "MLP": MLP, "ALL": ALL, "CONV": CONV}


class Spec:
    """Gives a dataclass declared with `repr=False` the shortest text that makes it again.

    Fields named in `shows` always appear; the others only where they differ from their default.
    """

    shows: ClassVar[tuple[str, ...]] = ()
    of_any_number: ClassVar[bool] = False
    """Whether it is made of any number of values without names."""
    named_freely: ClassVar[bool] = False
    """Whether it takes names of values that are no fields, and refuses wrong ones itself."""

    def __repr__(self) -> str:
        parts = []
        for field in fields(self):  # type: ignore[arg-type]
            value = getattr(self, field.name)
            if field.default is MISSING:
                parts.append(repr(value))
            elif field.name in self.shows or value != field.default:
                parts.append(f"{field.name}={value!r}")
        return f"{type(self).__name__}({', '.join(parts)})"

    @property
    def config(self) -> dict[str, Any]:
        """Every field by name, as plain data."""
        return asdict(self)  # type: ignore[call-overload,no-any-return]


def parse(text: str, *, known: Mapping[str, type], kind: str) -> Any:
    """Makes the specification that `text` names.

    Args:
        text: e.g. "LoRA(rank=8, at=('q','v'))" or, with every default, "LoRA". A value may be such a specification too:
            "Together(LoRA(rank=8), BitFit())".
        known: the classes that may be named.
        kind: what they are, for messages: "method", "model", "task".

    Raises:
        BadInput: no such class or field (did you mean), not a literal, or a value that the class refuses.
    """
    try:
        return _made(_call(text, kind), text, known, kind)
    except RecursionError:
        raise BadInput(f"{kind} {shown(text, 200)!r} is nested too deeply: write it as Name(field=value)") from None


def _made(call: ast.Call, text: str, known: Mapping[str, type], kind: str) -> Any:
    """What a call of a class of `known` makes."""
    said = shown(text, 200)
    if not isinstance(call.func, ast.Name):
        raise BadInput(f"{kind} {said!r} cannot be read: write it as Name(field=value)")
    if call.func.id not in known:
        raise unknown(kind, call.func.id, known)
    cls = known[call.func.id]
    names: list[Field[Any]] = [f for f in fields(cls) if f.init]
    open_ended = issubclass(cls, Spec) and cls.of_any_number
    if len(call.args) > len(names) and not open_ended:
        raise BadInput(f"{kind} {said!r} gives {len(call.args)} values: {cls.__name__} has {len(names)} fields")
    read = partial(_value, known=known, kind=kind) if open_ended else _literal
    placed = [read(each, text) for each in call.args]
    taken, given = {f.name for f, _ in zip(names, placed, strict=False)}, dict[str, Any]()
    for keyword in call.keywords:
        if keyword.arg not in {f.name for f in names} and not (keyword.arg and getattr(cls, "named_freely", False)):
            raise unknown(f"field of {cls.__name__}", keyword.arg or "**", [f.name for f in names])
        if keyword.arg in taken or keyword.arg in given:
            raise BadInput(f"{kind} {said!r} gives {keyword.arg} twice")
        given[keyword.arg] = read(keyword.value, text)
    try:
        return cls(*placed, **given)
    except TypeError as error:
        raise BadInput(f"{kind} {said!r}: {error}") from None


def _value(node: ast.expr, text: str, known: Mapping[str, type], kind: str) -> Any:
    """A specification of the same kind (`LoRA(rank=8)`, or `LoRA` with every default), several, or a literal."""
    if isinstance(node, ast.Call):
        return _made(node, text, known, kind)
    if isinstance(node, ast.Name):
        return _made(ast.Call(func=node, args=[], keywords=[]), text, known, kind)
    if isinstance(node, ast.Tuple | ast.List):
        return tuple(_value(each, text, known, kind) for each in node.elts)
    return _literal(node, text)


def _call(text: str, kind: str) -> ast.Call:
    """What a text calls, as `LoRA()` does and `LoRA` means."""
    said = shown(text, 200)
    try:
        node = ast.parse(text.strip(), mode="eval").body
    except SyntaxError as error:
        raise BadInput(f"{kind} {said!r} cannot be read: {error.msg}; write it as Name(field=value)") from None
    except ValueError as error:  # a null byte
        raise BadInput(f"{kind} {said!r} cannot be read: {error}") from None
    except (RecursionError, MemoryError):
        raise BadInput(f"{kind} {said!r} is nested too deeply: write it as Name(field=value)") from None
    return node if isinstance(node, ast.Call) else ast.Call(func=node, args=[], keywords=[])


def _literal(node: ast.expr, text: str) -> Any:
    if isinstance(node, ast.Name) and node.id in CONSTANTS:
        return CONSTANTS[node.id]
    try:
        return ast.literal_eval(node)
    except (ValueError, TypeError, RecursionError, MemoryError):
        part = shown(ast.get_source_segment(text.strip(), node) or "", 80)
        raise BadInput(f"{shown(text, 200)!r}: {part} is not a literal value") from None


def check_numbers(spec: Any) -> None:
    """Refuses, in one line, a field whose value is not of its default's kind: bool, int, or a finite float.

    A whole number given for a float becomes one, so that equal settings have equal texts.
    """
    for field in fields(spec):
        value, default = getattr(spec, field.name), field.default
        said = shown(repr(value) if isinstance(value, str) else value)  # in quotes: '8' is no number
        where = f"{field.name}={said}: {type(spec).__name__} needs a"
        if isinstance(default, bool):
            if not isinstance(value, bool):
                raise BadInput(f"{where} bool")
        elif isinstance(default, int):
            if not isinstance(value, int) or isinstance(value, bool):
                raise BadInput(f"{where} whole number")
        elif isinstance(default, float):
            if not isinstance(value, int | float) or isinstance(value, bool) or not math.isfinite(value):
                raise BadInput(f"{where} finite number")
            object.__setattr__(spec, field.name, float(value))
        elif isinstance(default, str) and not isinstance(value, str):
            raise BadInput(f"{where} text")
