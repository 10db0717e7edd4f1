"""Weights and configurations that changed where they lie: refused where their hash is known, else said to be others."""

from __future__ import annotations

import hashlib
import json
import shutil
from pathlib import Path

import pytest
import timm
import torch

from bench.errors import BadInput
from bench.models import HuggingFace, Timm
from bench.models.text_shapes import configuration
from tests.support.hub_cache import COMMIT, lay, spoil
from tests.support.saved_texts import save

CHANGED = r"has changed since it was fetched .*delete .*, and it is fetched again"


@pytest.fixture(scope="module")
def saved(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("bert")
    save(folder, configuration("test-bert", pad=0))
    return folder


@pytest.fixture
def hub(tmp_path, monkeypatch) -> Path:
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    return tmp_path / "hub"


def test_a_text_model_of_the_hub_is_what_its_blobs_are_called(hub, saved):
    snapshot = lay(hub, "someone/tiny-bert", saved)
    (snapshot / "README.md").write_text("says nothing of the model")
    model = HuggingFace("someone/tiny-bert")
    found = model.build().provenance
    weights = hashlib.sha256((saved / "model.safetensors").read_bytes()).hexdigest()
    assert (found["weights"], found["weights_sha256"]) == (f"hub: someone/tiny-bert at {COMMIT}", weights)
    assert found["model_sha256"] == model.cached() == HuggingFace(str(saved)).fingerprint()
    spoil(snapshot / "README.md")
    assert model.build().provenance == found


@pytest.mark.parametrize("name", ["model.safetensors", "config.json", "tokenizer.json", "tokenizer_config.json"])
def test_one_that_changed_there_is_refused(name, hub, saved):
    snapshot = lay(hub, "someone/tiny-bert", saved)
    spoil(snapshot / name)
    with pytest.raises(BadInput, match=f"{name} {CHANGED}") as caught:
        HuggingFace("someone/tiny-bert").build()
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["model.safetensors", "pytorch_model.bin"])
def test_a_network_of_timms_hub_is_what_its_blob_is_called(name, hub, tmp_path):
    from safetensors.torch import save_file

    torch.manual_seed(5)
    network, folder = timm.create_model("test_vit"), tmp_path / "made"
    folder.mkdir()
    write = save_file if name.endswith("safetensors") else torch.save
    write(network.state_dict(), folder / name)
    (folder / "config.json").write_text(json.dumps({"architecture": "test_vit"}))
    snapshot = lay(hub, "timm/test_vit.r160_in1k", folder)
    if name.endswith("bin"):  # the hub's library notes which files a repository has not
        missing = snapshot.parent.parent / ".no_exist" / COMMIT
        missing.mkdir(parents=True)
        (missing / "model.safetensors").touch()
    weights = hashlib.sha256((folder / name).read_bytes()).hexdigest()
    assert Timm("test_vit").build().provenance["weights_sha256"] == weights == Timm("test_vit").cached()
    spoil(snapshot / name)
    with pytest.raises(BadInput, match=CHANGED):
        Timm("test_vit").build()


def test_a_network_that_timm_takes_from_an_address_has_its_hash_in_its_name(tmp_path, monkeypatch):
    """gcvit is on no hub."""
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    file = tmp_path / "hub" / "checkpoints" / "gcvit_xxtiny_224_nvidia-d1d86009.pth"
    file.parent.mkdir(parents=True)
    torch.save({}, file)
    with pytest.raises(BadInput, match=CHANGED):
        Timm("gcvit_xxtiny").build()


@pytest.mark.parametrize("weights", ["pretrained", "random"])
@pytest.mark.parametrize("name", ["config.json", "tokenizer.json", "model.safetensors"])
def test_whatever_determines_a_local_model_is_in_its_fingerprint(name, weights, saved, tmp_path):
    folder = tmp_path / "copy"
    shutil.copytree(saved, folder)
    model = HuggingFace(str(folder), weights=weights)
    before = model.fingerprint()
    assert before == HuggingFace(str(saved), weights=weights).fingerprint()
    (folder / "trainer_state.json").write_text("{}")
    assert model.fingerprint() == before
    spoil(folder / name)
    assert (model.fingerprint() == before) == (weights == "random" and name == "model.safetensors")
