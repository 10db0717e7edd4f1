"""A run and its kept weights become a network again. Only tensors and JSON are read, never code."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from safetensors.torch import load_file

from bench.errors import BadInput
from bench.models import Backbone
from bench.records import Records
from bench.records.weights import file_of, find, read
from bench.study.again import run_of
from bench.training.device import choose_device
from bench.training.keeping import preprocessing, restore
from bench.training.run import Network, Run, assemble

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True, eq=False)
class Trained:
    """A trained network, ready to predict.

    Args:
        run: what was trained, of which seed.
        backbone: adapted, with the kept weights.
        network: backbone and head, in evaluation mode.
        classes: names, by index; empty where a number is predicted.
        about: the metadata of the weights: metrics, preprocessing, run id, …
        path: of the weights.
        device: where it is.
    """

    run: Run
    backbone: Backbone
    network: Network
    classes: tuple[str, ...]
    about: Mapping[str, Any]
    path: Path
    device: str

    @property
    def family(self) -> str:
        """Of what it predicts from: "images", "text" or "detection"."""
        return self.run.task.family

    def predict(self, samples: Iterable[Any] | str | Path, *, top: int = 1, batch: int = 32, score: float = 0.3) -> Any:
        """What is predicted for files, pictures of PIL, or texts (pairs of texts where it was trained on pairs).

        Args:
            samples: paths of pictures or folders of them, PIL pictures; for texts, texts or paths of tables.
            top: the likeliest classes that are named.
            batch: samples at once.
            score: of boxes, the least that is shown.

        Returns:
            A frame of pandas, a row a sample (a row a box): `bench.deploy.prediction.frame` says its columns. What
            could not be read is left out, and named in `frame.attrs["skipped"]` and in a warning.

        Raises:
            BadInput: files of another family than it was trained on, or none that can be read.
        """
        from bench.deploy.prediction import frame

        found: pd.DataFrame = frame(self, samples, top=top, batch=batch, score=score)
        return found


def load_model(run: str | Path, *, results: str | Path = "results", device: str | None = None) -> Trained:
    """The trained network of a run whose weights were kept.

    Args:
        run: its id or first digits, or the path of its record or of its weights (which need nothing beside them).
        results: folder of the records.
        device: torch device; a GPU if there is one.

    Raises:
        BadInput: no such run, weights that were not kept, were changed, or are of another version or backbone.
    """
    folder, run_id = find(Path(results), str(run))
    path = Path(run) if str(run).endswith(".safetensors") else file_of(folder, run_id)
    if not path.is_file():
        record = Records(folder).read(run_id)
        what = f"run {run_id} ({record['method']['spec']} on {record['task']['name']})" if record else f"run {run_id}"
        raise BadInput(
            f"the weights of {what} were not kept: `bench keep {run_id} --results {folder.parent.parent}` trains it "
            "once more and keeps them; bench run keeps each configuration's best seed"
        )
    kept, where = read(path), choose_device(device)
    about = kept.about
    trained = run_of(about)
    backbone, network = assemble(trained, device=where, classes=len(about["classes"]))
    check_base(backbone, about, str(path))
    restore(network, load_file(path, device=where), about, where=str(path))
    network.eval()
    return Trained(trained, backbone, network, tuple(about["classes"]), about, path, where)


def check_base(backbone: Backbone, about: Mapping[str, Any], where: str) -> None:
    """Refuses a base whose file or tokenizer is another one than in training.

    Raises:
        BadInput: it is.
    """
    for key in ("weights_sha256", "model_sha256"):
        was, now = about["backbone"].get(key), backbone.provenance.get(key)
        if was and now and was != now:
            raise BadInput(
                f"{where} was trained on another backbone: {about['model']} had weights with hash {was[:12]} there, "
                f"{now[:12]} here; bring back those weights, or make it again with `bench keep {about['run_id']}`"
            )
    if about["preprocessing"] != preprocessing(backbone.inputs):
        raise BadInput(
            f"{where}: inputs are prepared in another way here than in training ({about['preprocessing']}): the "
            f"model's tokenizer or configuration has changed; make it again with `bench keep {about['run_id']}`"
        )
