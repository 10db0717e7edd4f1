"""An export is what other tools load, and gives the same outputs there."""

from __future__ import annotations

import errno
import os
import re
import shutil
import subprocess
import sys

import pandas as pd
import pytest
import torch
from safetensors.torch import load_file
from typer.testing import CliRunner

import bench.deploy.export as exporting
from bench import methods as m
from bench.cli import app
from bench.deploy import load_model
from bench.deploy.export import compare, export, samples
from bench.deploy.merged import merged
from bench.errors import BadInput
from bench.models import Timm
from bench.sites import CONV
from bench.tasks import ImageFolder
from bench.tracking import uri
from tests.deploy.conftest import BERT, VIT, kept_run


def loaded(own, family):
    folder, runs = own
    return load_model(runs[family], results=folder / "results", device="cpu")


PLAIN = """
import sys, torch
{lines}
inputs = torch.load("inputs.pt", weights_only=True)
with torch.no_grad():
    made = {call}
torch.save(made, "outputs.pt")
assert not any(name == "bench" or name.startswith("bench.") for name in sys.modules)
"""


@pytest.mark.parametrize("family", ["text"])  # one process: they import for seconds
@pytest.mark.slow
@pytest.mark.long
def test_a_merged_network_is_loaded_by_its_library_alone(own, family, tmp_path) -> None:
    trained = loaded(own, family)
    found = export(trained, "merged", tmp_path / "out")
    inputs = samples(trained)
    torch.save(inputs if family == "images" else dict(inputs), found.folder / "inputs.pt")
    call = "model(inputs)" if family == "images" else "model(**inputs).logits"
    code = PLAIN.format(lines="\n".join(found.lines), call=call)
    env = {"PATH": os.environ["PATH"], "HOME": str(tmp_path), "HF_HOME": str(tmp_path), "OMP_NUM_THREADS": "1"}
    done = subprocess.run([sys.executable, "-c", code], cwd=found.folder, env=env, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    outputs = torch.load(found.folder / "outputs.pt", weights_only=True)
    assert compare(trained, lambda _: outputs, inputs, 1e-5) <= 1e-5


def predicted_in_the_cards_words(folder, picture) -> float:
    """The likeliest class's probability, by the lines of a model card alone."""
    code = "\n".join(re.findall(r"```python\n(.*?)```", (folder / "README.md").read_text(), re.S))
    scope: dict = {}
    exec(
        code.replace("'new.png'", repr(str(picture))).replace("'model.safetensors'", f"'{folder}/model.safetensors'"),
        scope,
    )
    with torch.no_grad():
        return float(scope["model"](scope["inputs"]).softmax(-1).max())


def test_merged_and_adapter_give_the_same_outputs(own, tmp_path) -> None:
    for family in ("images", "text"):
        trained = loaded(own, family)
        for to in ("merged", "adapter"):
            found = export(trained, to, tmp_path / family / to)
            assert found.difference is not None and found.difference <= 1e-5 and found.samples >= 4
            card = (found.folder / "README.md").read_text()
            assert "## Licences" in card and found.lines[-1] in card and trained.about["run_id"] in card
            assert "| top1 |" in card and " to " in card
    assert predicted_in_the_cards_words(tmp_path / "images" / "merged", own[0] / "tones" / "dark" / "3.png") == (
        pytest.approx(loaded(own, "images").predict([own[0] / "tones" / "dark" / "3.png"])["probability"][0], abs=1e-6)
    )
    adapter = load_file(tmp_path / "images" / "adapter" / "adapter_model.safetensors")
    assert any(name.endswith("attn.qkv.lora_A.weight") for name in adapter) and any("head" in name for name in adapter)


def test_a_detector_on_timm_keeps_its_adapter_and_says_why_it_is_not_merged(own, tmp_path) -> None:
    trained = loaded(own, "detection")
    with pytest.raises(BadInput, match="no network of timm or torchvision"):
        export(trained, "merged", tmp_path / "m")
    assert not list(tmp_path.iterdir()), "nothing half-written stays"
    assert export(trained, "adapter", tmp_path / "a").difference <= 1e-5


def test_an_onnx_graph_of_a_detector_finds_the_same_boxes(own, tmp_path) -> None:
    pytest.importorskip("onnxruntime")
    found = export(loaded(own, "detection"), "onnx", tmp_path / "o")
    assert found.difference <= 1e-4 and found.samples > 1 and "one picture at a time" in found.said


CNN = Timm("test_efficientnet", weights="random", image_size=32)  # a ResNet's blocks begin as nothing, merged or not
METHODS = [
    m.FullFineTuning(), m.LinearProbe(), m.BitFit(), m.LayerNormTuning(), m.LoRA(rank=2, at=("q", "v", "up")),
    m.LoRAPlus(rank=2), m.LoRAFA(rank=2), m.PiSSA(rank=2), m.DoRA(rank=2), m.VeRA(rank=4), m.LoHa(rank=2),
    m.LoKr(rank=2), m.IA3(), m.SSF(), m.Houlsby(width=4), m.AdaptFormer(width=4), m.FeatureLoRA(rank=2),
]  # fmt: skip
MERGE = {"FullFineTuning", "LinearProbe", "BitFit", "LayerNormTuning", "LoRA", "LoRAPlus", "LoRAFA", "PiSSA", "DoRA",
         "VeRA", "LoHa", "LoKr", "IA3", "SSF", "OFT", "AdaLoRA", "Peft"}  # fmt: skip
IN_PEFT = {"vit": {"LoRA", "LoRAPlus", "LoRAFA", "PiSSA"}, "cnn": {"LoRA"}}
IN_PEFT["bert"] = IN_PEFT["vit"] | {"DoRA", "VeRA", "LoHa", "LoKr", "IA3", "OFT", "AdaLoRA", "Peft"}
OF_TEXTS = (m.OFT(block_size=8), m.AdaLoRA(rank=2, start_rank=3), m.Peft("BOFT", boft_block_size=4))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("family", "method"),
    [("bert" if at % 2 else "vit", each) for at, each in enumerate(METHODS)]
    + [("cnn", each) for each in (m.FullFineTuning(), m.LoRA(rank=2))]
    + [("bert", each) for each in (*OF_TEXTS, m.DoRA(rank=2), m.LoHa(rank=2), m.IA3())],
    ids=str,
)
def test_every_method_that_merges_is_exported_to_1e_5(own, tmp_path, family, method) -> None:
    folder = own[0]
    of_text = load_model(own[1]["text"], results=folder / "results", device="cpu").run.task
    task = of_text if family == "bert" else ImageFolder(str(folder / "tones"))
    if family == "cnn" and hasattr(method, "at"):
        method = method.having({"at": CONV})
    model = {"vit": VIT, "cnn": CNN, "bert": BERT}[family]
    try:
        run = kept_run(tmp_path / "results", task, model, method)
    except BadInput as error:
        pytest.skip(str(error))
    trained = load_model(run, results=tmp_path / "results", device="cpu")
    if type(method).__name__ in MERGE:
        assert export(trained, "merged", tmp_path / "m").difference <= 1e-5
    else:
        with pytest.raises(BadInput, match=r"cannot be merged: .* --to adapter"):
            merged(trained)
    found = export(trained, "adapter", tmp_path / "a")
    if type(method).__name__ in IN_PEFT[family]:
        assert found.difference is not None and found.difference <= 1e-5, found.said
    else:
        assert "written as kept" in found.said


def test_an_onnx_graph_takes_any_batch(own, tmp_path) -> None:
    pytest.importorskip("onnxruntime")
    found = export(loaded(own, "images"), "onnx", tmp_path / "o")
    assert found.difference <= 1e-4 and (found.folder / "model.onnx").is_file()


@pytest.mark.slow
def test_an_onnx_graph_of_texts_takes_any_batch_and_length(own, tmp_path) -> None:
    pytest.importorskip("onnxruntime")
    assert export(loaded(own, "text"), "onnx", tmp_path / "o").difference <= 1e-4


@pytest.mark.slow
@pytest.mark.xdist_group("mlflow")
def test_an_mlflow_export_is_logged_under_its_run(own, tmp_path, monkeypatch) -> None:
    mlflow = pytest.importorskip("mlflow")
    results = shutil.copytree(own[0] / "results", tmp_path / "results")
    asked = ["export", own[1]["images"], "--to", "mlflow", "--log", "--out", str(tmp_path / "m")]
    done = CliRunner().invoke(app, [*asked, "--results", str(results)])
    assert done.exit_code == 0, done.stdout
    address = re.search(r"models:/m-\w+", done.stdout)[0]
    mlflow.set_tracking_uri(uri(results))
    try:
        model, info = mlflow.pyfunc.load_model(address), mlflow.get_logged_model(address.removeprefix("models:/"))
        assert mlflow.get_run(info.source_run_id).data.tags["run_id"] == own[1]["images"]
    finally:
        mlflow.set_tracking_uri(None)  # it stands in the environment else, for all tests behind this
    assert model.metadata.signature is not None and model.input_example is not None
    assert not list((tmp_path / "m").rglob("*.pkl")), "no pickled code"
    picture = str(own[0] / "tones" / "dark" / "0.png")
    wanted = loaded(own, "images").predict([picture])
    assert model.predict(pd.DataFrame({"picture": [picture]})).equals(wanted)


@pytest.mark.slow
@pytest.mark.xdist_group("mlflow")
def test_an_mlflow_export_of_texts_and_boxes_predicts_the_same(own, tmp_path) -> None:
    mlflow = pytest.importorskip("mlflow")
    text = "a fine thing, " * 40  # no picture in base64, for all its length
    boxes = next((own[0] / "boxes").rglob("*.png"))
    for family, column, sample in (("text", "text", text), ("detection", "picture", str(boxes))):
        trained = loaded(own, family)
        found = export(trained, "mlflow", tmp_path / family)
        model = mlflow.pyfunc.load_model(str(found.folder))
        assert model.predict(pd.DataFrame({column: [sample]})).equals(trained.predict([sample]))


def test_what_goes_wrong_leaves_nothing(own, tmp_path, monkeypatch) -> None:
    trained = loaded(own, "images")
    with pytest.raises(BadInput, match="did you mean 'merged'"):
        export(trained, "merge", tmp_path / "x")
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "mine").write_text("")
    with pytest.raises(BadInput, match="holds something"):
        export(trained, "model-card", tmp_path / "full")
    monkeypatch.setattr(exporting, "EXACT", -1.0)
    with pytest.raises(BadInput, match="other outputs than the run"):
        export(trained, "merged", tmp_path / "x")

    def full(source, target) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "replace", full)
    with pytest.raises(BadInput, match="No space left"):
        export(trained, "model-card", tmp_path / "x")
    assert [path.name for path in tmp_path.iterdir()] == ["full"]


def test_the_command_says_how_to_load_it(own, tmp_path) -> None:
    asked = ["export", own[1]["images"], "--to", "merged", "--out", str(tmp_path / "m")]
    done = CliRunner().invoke(app, [*asked, "--results", str(own[0] / "results")])
    assert done.exit_code == 0 and "timm.create_model('test_vit', num_classes=2" in done.stdout


@pytest.mark.parametrize("family", ["images", "text"])
def test_an_adapter_of_a_base_that_no_hub_has_brings_it_along(own, family, tmp_path, monkeypatch) -> None:
    trained = loaded(own, family)
    found = export(trained, "adapter", tmp_path / "a")
    monkeypatch.chdir(found.folder)
    scope: dict = {}
    exec("\n".join(found.lines), scope)
    inputs = samples(trained)
    with torch.no_grad():
        made = scope["model"](inputs) if family == "images" else scope["model"](**inputs).last_hidden_state
        wanted = trained.network(inputs)
        if family == "text":
            wanted = trained.backbone.module.body(**inputs).last_hidden_state
    assert torch.allclose(made, wanted, atol=1e-5)
