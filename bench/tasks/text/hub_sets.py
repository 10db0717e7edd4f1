"""Data sets read by the `datasets` library: from the Hugging Face hub, or from files on disk."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

from bench.assets import cache_folder
from bench.errors import BadInput
from bench.models.hub import go_offline_if_need_be

READERS = {"parquet": "parquet", "jsonl": "json", "json": "json", "csv": "csv", "tsv": "csv"}
"""What `datasets` reads a file with, by how its name ends."""

UNQUOTED = 3  # csv.QUOTE_NONE


def library(what: str) -> ModuleType:
    """The optional package `datasets`.

    Args:
        what: needs it, for the message.

    Raises:
        BadInput: it is not installed.
    """
    try:
        import datasets
    except ImportError:
        raise BadInput(f"{what} needs the package datasets: pip install 'lora-bench[glue]'") from None
    if not sys.stderr.isatty():
        datasets.disable_progress_bars()
    module: ModuleType = datasets
    return module


def from_hub(repository: str, config: str | None = None) -> Any:
    """A `DatasetDict` of the hub, or of its cache where the hub does not answer.

    Args:
        repository: owner and name.
        config: which of its sets.

    Raises:
        BadInput: `datasets` is not installed, or the set is neither to be had nor cached.
    """
    datasets = library(repository)
    go_offline_if_need_be()
    try:
        return datasets.load_dataset(repository, config)
    except Exception as error:  # of many libraries: requests, fsspec, huggingface_hub, datasets
        where = f"{repository} ({config})" if config else repository
        raise BadInput(
            f"{where} cannot be had from the hub ({type(error).__name__}: {_first_line(error)}); "
            "where there is no network, give a local folder"
        ) from error


def from_folder(path: Path) -> Any:
    """A `DatasetDict` that `save_to_disk` wrote.

    Raises:
        BadInput: `datasets` is not installed, or cannot read it.
    """
    datasets = library(str(path))
    try:
        return datasets.load_from_disk(str(path))
    except Exception as error:
        raise BadInput(f"{path} cannot be read: {_first_line(error)}") from error


def from_files(parts: Mapping[str, Sequence[Path]], names: Sequence[str] | None = None) -> Any:
    """A `DatasetDict` of files of one kind.

    Args:
        parts: name of each part → its files. A .tsv is taken as unquoted, as GLUE's are.
        names: of the columns, where a .csv or .tsv has no header.

    Raises:
        BadInput: `datasets` is not installed, or cannot read them.
    """
    files = {part: [str(path.absolute()) for path in paths] for part, paths in parts.items()}
    first = next(iter(files.values()))[0]
    datasets, kind = library(first), first.rpartition(".")[2].lower()
    options: dict[str, Any] = {}
    if READERS[kind] == "csv":
        options["keep_default_na"] = False  # "null" and "NA" are words too
        if kind == "tsv":
            options |= {"sep": "\t", "quoting": UNQUOTED}
        if names:
            options |= {"header": None, "names": list(names)}
    try:
        return datasets.load_dataset(
            READERS[kind], data_files=files, cache_dir=os.fspath(cache_folder() / "datasets"), **options
        )
    except Exception as error:
        raise BadInput(f"{Path(first).parent} cannot be read: {_first_line(error.__cause__ or error)}") from error


def _first_line(error: BaseException) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]
