"""From what is asked of Ray to an executor that is ready: cluster, needs, workers, and where their runs take place."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence

from bench.errors import BadInput
from bench.execution.parallelism import available
from bench.execution.ray_cluster import Wanted, connected
from bench.execution.ray_crew import Crew
from bench.execution.ray_executor import OnRay
from bench.execution.shipping import forget, needs
from bench.records.environment import portable
from bench.study import Study
from bench.study.plan import Row, estimated
from bench.study.recording import Record
from bench.study.scales import ONE_THREAD
from bench.training.device import runs_elsewhere


@contextlib.contextmanager
def on_ray(
    parts: Sequence[Study],
    wanted: Wanted,
    *,
    scale: str,
    jobs: int | None = None,
    known: Sequence[Record] = (),
    fetch: Callable[[Study], None] = lambda part: None,
    said: Callable[[str], None] = print,
) -> Iterator[OnRay]:
    """Workers on a cluster, for as long as they are used. `bench.training.device.environment` is then theirs.

    Args:
        parts, scale: the study.
        wanted: the cluster, and what each run gets of it.
        jobs: runs at once; None for as many as the cluster has room for.
        known: what is recorded: runs go on on the same processors or GPUs, where there are some.
        fetch: brings what a part needs to this machine, once a cluster has answered.
        said: takes a line for the person who waits.

    Raises:
        BadInput: no Ray, no cluster, or no machine of it can take part.
    """
    if any(part.costs for part in parts):
        raise BadInput(f"--launcher ray: {parts[0].name} measures what runs cost on this machine; leave it out")
    with connected(wanted) as cluster:
        for part in parts:
            fetch(part)
        device, needed = "cuda" if cluster.gpus else "cpu", needs(parts)
        every = all(portable({"device": device}, part.training.precision) for part in parts)
        threads = 1 if scale in ONE_THREAD else cluster.cpus
        crew = Crew(cluster, needed, device=device, threads=threads, jobs=jobs, any_processor=every, said=said)
        try:
            with OnRay(crew) as executor:
                names = [str(record["environment"].get("device_name")) for record in known]
                with runs_elsewhere(executor.open(names)):
                    yield executor
        finally:
            forget(needed)


def timed(study: Study, rows: list[Row], device: str) -> list[Row]:
    """A plan's rows with times and memory, as a worker finds them on its machine."""
    return estimated(study, rows, device=device, limit=available(device))
