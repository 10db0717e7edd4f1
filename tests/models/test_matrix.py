"""The matrix of methods and models says what is tried, and "unknown" where shapes do not tell."""

from __future__ import annotations

from dataclasses import replace

from typer.testing import CliRunner

import bench.models.matrix
from bench.cli import app
from bench.models import Timm
from bench.models.matrix import KINDS, WORKS, families, matrix
from bench.training.method_checks import CNN, VIT


def test_verdicts_are_those_of_what_is_tried():
    found = {(name, kind): verdict for name, kind, verdict in matrix({"vit": VIT, "cnn": CNN})}
    assert len(found) == 2 * len(KINDS)
    assert found["vit", "LoRA, attention"] == WORKS
    assert found["cnn", "LoRA, convolutions"].startswith("works in part: 9 of 15 layers, 90 % of the weights")
    assert found["vit", "LoRA, convolutions"].startswith("refused: no site matches")
    assert "BatchNorm2d" in found["cnn", "LayerNorm"]


def test_what_blocks_do_decides_and_not_their_name():
    beit = {kind: verdict for _, kind, verdict in matrix({"": Timm("beit_base_patch16_224")})}
    assert [kind for kind in KINDS if not beit[kind].startswith(WORKS)] == ["LoRA, attention", "LoRA, convolutions"]
    assert beit["BitFit"] == "works: 93,696 parameters", "with q_bias and v_bias"
    assert "attn.qkv directly" in beit["LoRA, attention"]


def test_what_shapes_do_not_tell_is_unknown(monkeypatch):
    def no_values(*_):
        raise NotImplementedError("aten::item on meta tensors")

    monkeypatch.setattr(bench.models.matrix, "adapt", no_values)
    assert [v for *_, v in matrix({"vit": VIT}, ["full"])] == [
        "unknown: NotImplementedError: aten::item on meta tensors"
    ]


def test_half_an_adapter_is_none():
    """Of a mixture of experts no layer ends the MLP: a bottleneck after attention alone is no Houlsby adapter."""
    found = {kind: verdict for _, kind, verdict in matrix({"": families()["Mixtral"]}, ["Houlsby", "LoRA, attention"])}
    assert found["Houlsby"].startswith("refused: Houlsby stands after attention and after the MLP: in block 0 no layer")
    assert found["LoRA, attention"].startswith("works in part: 8 of 12 layers")


def test_the_families_that_people_ask_for_are_rows():
    rows = " ".join(families())
    for family in (
        "DINOv3",
        "EVA-02",
        "SigLIP",
        "CLIP",
        "BEiT",
        "SwinV2",
        "DeiT",
        "Gemma",
        "Phi",
        "Mixtral",
        "OPT",
        "T5",
        "BART",
    ):
        assert family in rows


def test_the_matrix_is_printed(monkeypatch):
    monkeypatch.setattr(bench.models.matrix, "families", lambda: {"a family": replace(VIT)})
    shown = CliRunner().invoke(app, ["models", "--matrix"], env={"COLUMNS": "200"})
    assert shown.exit_code == 0 and "a family" in shown.output and "works" in shown.output
    one = CliRunner().invoke(app, ["models", "test_vit", "--matrix"], env={"COLUMNS": "200"})
    assert one.exit_code == 0 and "test_vit" in one.output and "refused: no site matches" in one.output
