"""Methods, tasks and models from outside: of installed packages, of a file, of a module.

A package declares them as entry points of the groups `lora_bench.methods`, `lora_bench.tasks` and `lora_bench.models`,
each a class. What is named on the command line (`--from`) is loaded after them. A class stands under its own name, as
those of LoRA Bench do; records, figures and pages need it no more once it has run.
"""

from __future__ import annotations

import hashlib
import importlib
import re
import sys
import traceback
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import is_dataclass, replace
from functools import cache
from importlib.metadata import entry_points
from pathlib import Path
from types import ModuleType
from typing import Any

from bench.errors import BadInput, say_once, scrubbed, unknown
from bench.methods import METHODS, Method
from bench.models import MODELS
from bench.spec import parse
from bench.study.study import PLUGINS, Study, loaded
from bench.tasks import TASKS

REGISTRIES: dict[str, dict[str, Any]] = {"methods": METHODS, "tasks": TASKS, "models": MODELS}
GROUP = "lora_bench"
OUTSIDE: dict[type, str] = {}
"""What was loaded here, and from where."""


@cache
def installed() -> None:
    """Takes up what installed packages declare. One that cannot be had is left out, which is said."""
    for kind in REGISTRIES:
        for point in entry_points(group=f"{GROUP}.{kind}"):
            where = f"{point.dist.name} ({point.value})" if point.dist else point.value
            try:
                cls = _guarded(point.load)
                if not isinstance(cls, type) or _kind(cls) != kind:
                    raise BadInput(f"it is no class of {GROUP}.{kind}")
                _register(cls, where)
            except BadInput as error:
                say_once(f"plug-in {point.name} of {where} is left out: {error}")


def load(source: str) -> list[Method]:
    """Takes up what a file or a module defines.

    Args:
        source: "rescale.py", "package.module", or either with a class, and values for it, behind a colon:
            "rescale.py:Rescale", "package.module:Rescale(at=('q',))".

    Returns:
        The methods in it, with their defaults or the values given: what joins a study.

    Raises:
        BadInput: no such file, module or class; it fails to import; it defines none; a name that is taken.
    """
    try:
        return _load(source)
    except BadInput as error:
        raise BadInput(f"--from {source}: {error}") from None


def _load(source: str) -> list[Method]:
    split = re.fullmatch(r"(?P<where>.+?\.py|[^:]+)(?::(?P<what>.+))?", source.strip(), re.DOTALL)
    if split is None:
        raise BadInput("name a file, as rescale.py, or a module, as package.module:Rescale")
    where, what = split["where"], split["what"]
    module = _of_file(Path(where).expanduser()) if where.endswith(".py") else _of_module(where)
    found = defined(module)
    if what:
        name = what.partition("(")[0].strip()
        cls = getattr(module, name, None)
        if not isinstance(cls, type) or _kind(cls) is None:
            raise unknown(f"class of {where}", name, found)
        found = {name: cls}
    if not found:
        raise BadInput("no Method in it: define a frozen dataclass that inherits from bench.methods.Method")
    for cls in found.values():
        _register(cls, source)
    methods = {name: cls for name, cls in found.items() if issubclass(cls, Method)}
    return [parse(what or name, known={**METHODS, **methods}, kind="method") for name in methods]


def defined(module: ModuleType) -> dict[str, type]:
    """The public classes that a module, or one of its package, defines: methods, tasks and models."""
    return {
        name: value
        for name, value in vars(module).items()
        if isinstance(value, type) and not name.startswith("_") and _kind(value) is not None
        if f"{value.__module__}.".startswith(f"{module.__name__}.")
    }


def _kind(cls: type) -> str | None:
    if issubclass(cls, Method):
        return None if cls is Method else "methods"
    if not is_dataclass(cls):
        return None
    if callable(getattr(cls, "build", None)):
        return "models"
    return "tasks" if all(callable(getattr(cls, name, None)) for name in ("data", "head", "loss")) else None


def _of_file(path: Path) -> ModuleType:
    if not path.is_file():
        raise BadInput("there is no such file")
    name = f"{PLUGINS}.{path.stem}"
    there = sys.modules.get(name)
    if there is not None and Path(str(there.__file__)).resolve() != path.resolve():
        raise BadInput(f"another file of this name is loaded, {there.__file__}: give one of them another name")
    try:
        return _guarded(lambda: loaded(name, path.resolve()))  # type: ignore[no-any-return]
    except BadInput:
        sys.modules.pop(name, None)
        raise


def _of_module(name: str) -> ModuleType:
    here = str(Path.cwd())
    if here not in sys.path:
        sys.path.insert(0, here)  # as `python -m` has it; workers inherit it
    return _guarded(lambda: importlib.import_module(name))  # type: ignore[no-any-return]


def _guarded(work: Callable[[], Any]) -> Any:
    """What foreign code gives; what it raises becomes one line that says where."""
    try:
        return work()
    except (Exception, SystemExit) as error:
        if isinstance(error, BadInput):
            raise
        words = error.msg if isinstance(error, SyntaxError) else str(error).strip()
        said = scrubbed((words or "without a word").splitlines()[0])
        frames = traceback.extract_tb(error.__traceback__)
        line = error.lineno if isinstance(error, SyntaxError) else frames[-1].lineno if frames else None
        raise BadInput(f"it fails to import: {type(error).__name__}: {said} (line {line})") from None


def _register(cls: type, source: str) -> None:
    """Puts a class under its name.

    Raises:
        BadInput: the name is taken, it is no frozen dataclass, or a method has a field without a default.
    """
    name, registry = cls.__name__, REGISTRIES[_kind(cls) or ""]
    there = registry.get(name)
    if there is not None and there is not cls and there.__module__ != cls.__module__:
        raise BadInput(f"{name} is the name of another one already: give the class another name")
    if not is_dataclass(cls) or not cls.__dataclass_params__.frozen:  # type: ignore[attr-defined]
        raise BadInput(f"{name} is no frozen dataclass: write @dataclass(frozen=True, repr=False) above it")
    if issubclass(cls, Method):
        try:
            cls()
        except Exception as error:
            said = str(error).splitlines()[0]
            raise BadInput(f"{name}() cannot be made: {said}; every field needs a default that is sound") from None
    registry[name] = cls
    OUTSIDE[cls] = source


def files() -> dict[str, str]:
    """Modules that were taken up here, by name, and their files: what a worker needs (`again`)."""
    names = {cls.__module__ for cls in OUTSIDE}
    return {name: str(sys.modules[name].__file__) for name in sorted(names) if name in sys.modules}


def fingerprint(method: Method) -> str | None:
    """Of a method from outside, or a combination with one, the sha256 of the files that define it; else None.

    A record of another fingerprint is of other code, and does not spare a run. What those files import is not in it.
    """
    parts: list[Any] = [type(part) for part in getattr(method, "parts", (method,))]
    known = files()
    found = [known[cls.__module__] for cls in parts if cls in OUTSIDE and cls.__module__ in known]
    if not found:
        return None
    return hashlib.sha256(b"".join(Path(file).read_bytes() for file in dict.fromkeys(found))).hexdigest()


def again(name: str, path: Path) -> None:
    """Loads in a worker what `study_files` named: a study's file, or a plug-in, whose classes stand in place again."""
    if name.startswith(("studies.", f"{PLUGINS}.")):
        module = loaded(name, path)
    else:
        try:
            module = importlib.import_module(name)
        except ImportError:  # not installed on that machine, to which its file was sent
            module = loaded(name, path)
    for cls in defined(module).values() if not name.startswith("studies.") else ():
        with suppress(BadInput):  # said where it was asked for
            _register(cls, str(path))


def joined(parts: Sequence[Study], methods: Sequence[Method]) -> tuple[Study, ...]:
    """A study with more methods in each of its parts; one that a part cannot take is left out of it, which is said."""
    return tuple(_with(part, methods) for part in parts)


def _with(part: Study, methods: Sequence[Method]) -> Study:
    for method in methods:
        if method not in part.methods:
            try:
                part = replace(part, methods=(*part.methods, method))
            except BadInput as error:
                say_once(f"plug-in {method!r} is left out of {part.name}: {error}")
    return part


def refuse_failing(method: Method, family: str) -> None:
    """Refuses a method from outside, or a combination with one, that breaks a rule of `bench check`.

    Args:
        method: about to run.
        family: of the task, on whose small networks it is checked, with its defaults.

    Raises:
        BadInput: which rule, where, and by how much.
    """
    classes: list[Any] = [type(part) for part in getattr(method, "parts", (method,))]
    for cls in classes:
        if cls in OUTSIDE and (why := _failure(cls, family)):
            raise BadInput(f"plug-in {cls.__name__} fails its checks: {why}; bench check shows all")


@cache
def _failure(cls: type[Method], family: str) -> str:
    from bench.training.method_checks import BERT, CNN, CNN_MAPS, VIT, VIT_MAPS, report

    on: dict[str, list[Any]] = {"text": [BERT], "detection": [VIT_MAPS, CNN_MAPS]}
    rows, _ = report(cls(), on.get(family, [VIT, CNN]))
    failed = ((model, check, result) for model, check, result in rows if result.startswith("FAILED: "))
    return next((f"{check}, on {model}: {result[8:]}" for model, check, result in failed), "")
