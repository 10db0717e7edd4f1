"""What was understood of a study's data, on the terminal, before anything that takes time."""

from __future__ import annotations

from bench.errors import BadInput
from bench.study import Study
from bench.tasks.data_summary import Explains, lines


def show(study: Study) -> None:
    """Prints it for every task, and for the old task if there is one. A study of costs needs no data.

    What keeps data from being read is printed too: who then needs them stops.
    """
    if study.costs:
        return
    for task in (*study.tasks, *([study.retained] if study.retained else [])):
        if not isinstance(task, Explains):
            continue
        try:
            print("\n".join(lines(task.understood())))
        except BadInput as error:
            print(f"data of {task.name}: {error}")
    print("repeats are looked for byte by byte (texts: word by word); near-duplicates are not", flush=True)
