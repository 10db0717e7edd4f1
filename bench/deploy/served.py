"""A trained run as an MLflow model: with signature and input example, for `mlflow.pyfunc.load_model` and `serve`."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path
from typing import Any

import pandas as pd

from bench.deploy.loading import Trained
from bench.errors import BadInput

CODE = '''"""Loads kept weights and predicts: pictures as paths or base64, texts as they are. By bench export."""

import base64
import io

import mlflow.pyfunc
import pandas as pd
from mlflow.models import set_model


class Kept(mlflow.pyfunc.PythonModel):
    def load_context(self, context):
        from bench.deploy import load_model

        self.trained = load_model(context.artifacts["weights"], device="cpu")

    def predict(self, context, model_input, params=None):
        rows = model_input.iloc[:, 0].tolist() if isinstance(model_input, pd.DataFrame) else list(model_input)
        return self.trained.predict([self.sample(row) for row in rows])

    def sample(self, row):
        if self.trained.family == "text" or len(row) < 300:
            return row
        from PIL import Image

        return Image.open(io.BytesIO(base64.b64decode(row)))


set_model(Kept())
'''


def write_served(trained: Trained, folder: Path) -> str:
    """Writes the model; it needs this package where it is loaded, and no pickled code.

    Raises:
        BadInput: MLflow is not installed, or predicts otherwise than the run.
    """
    try:
        import mlflow
    except ImportError:
        raise BadInput("--to mlflow needs MLflow: pip install 'lora-bench[mlflow]'") from None
    example, sample = _example(trained)
    wanted, most = trained.predict([sample]), trained.predict([sample], score=0.0)  # boxes, likely or not
    with tempfile.TemporaryDirectory() as place:
        code, made = Path(place, "kept_run.py"), Path(place, "model")
        code.write_text(CODE)
        mlflow.pyfunc.save_model(
            made, python_model=str(code), artifacts={"weights": str(trained.path.absolute())}, input_example=example,
            signature=mlflow.models.infer_signature(example, most), pip_requirements=["lora-bench"],
        )  # fmt: skip
        found: Any = mlflow.pyfunc.load_model(str(made)).predict(example)
        _check(found, wanted)
        shutil.copytree(made, folder, dirs_exist_ok=True)
    return "an MLflow model"


def _check(found: pd.DataFrame, wanted: pd.DataFrame) -> None:
    numbers = wanted.select_dtypes("number").columns
    same = found.drop(columns=numbers).equals(wanted.drop(columns=numbers))
    if not same or (len(wanted) and (found[numbers] - wanted[numbers]).abs().max().max() > 1e-5):
        raise BadInput("the MLflow model predicts otherwise than the run: not written")


def _example(trained: Trained) -> tuple[pd.DataFrame, Any]:
    """A sample to show, as the served model is given it and as it is: a picture as base64, so that it needs no file."""
    if trained.family == "text":
        pair = not isinstance(getattr(trained.run.task, "text", "text"), str)
        if pair:
            raise BadInput("pairs of texts are not served by MLflow yet: --to merged")
        text = "an example of a text"
        return pd.DataFrame({"text": [text]}), text
    import base64
    import io

    import numpy as np
    from PIL import Image

    side = int(trained.backbone.inputs.size)
    picture = Image.fromarray(np.random.default_rng(0).integers(0, 255, (side, side, 3), dtype=np.uint8))
    content = io.BytesIO()
    picture.save(content, "PNG")
    return pd.DataFrame({"picture": [base64.b64encode(content.getvalue()).decode()]}), picture
