"""Where the sites are: one table of suffix patterns for each class of residual block.

To add a backbone family, add its block class here (module and class name as in its library): the suffix of each
module below the block, and the role it plays. "first > last" is the stretch from the input of one module to the
output of another, where no one module holds it. `bench check` and the conformance tests tell whether it works.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from torch import nn

from bench.errors import BadInput
from bench.sites import Site

QKV = "q k v"  # a fused Linear whose output rows are queries, then keys, then values
VIT = {"attn.qkv": QKV, "attn.proj": "o", "mlp.fc1": "up", "mlp.fc2": "down", "mlp": "mlp"}

# transformers. `output.dense` also ends `attention.output.dense`: suffixes count from the block.
POST_LN_MLP = {"intermediate.dense": "up", "output.dense": "down", "intermediate.dense > output.dense": "mlp"}
BERT = {
    "attention.self.query": "q",
    "attention.self.key": "k",
    "attention.self.value": "v",
    "attention.output.dense": "o",
    **POST_LN_MLP,
}
LLAMA = {
    "self_attn.q_proj": "q",
    "self_attn.k_proj": "k",
    "self_attn.v_proj": "v",
    "self_attn.o_proj": "o",
    "mlp.gate_proj": "up",
    "mlp.up_proj": "up",
    "mlp.down_proj": "down",
    "mlp": "mlp",
}

BLOCKS: dict[str, dict[str, str]] = {
    "vision_transformer.Block": VIT,
    "swin_transformer.SwinTransformerBlock": VIT,
    "eva.EvaBlock": {
        "attn.q_proj": "q",
        "attn.k_proj": "k",
        "attn.v_proj": "v",
        "attn.proj": "o",
        "mlp.fc1": "up",
        "mlp.fc1_x": "up",
        "mlp.fc1_g": "up",
        "mlp.fc2": "down",
        "mlp": "mlp",
    },
    "convnext.ConvNeXtBlock": {"conv_dw": "dwconv", "mlp.fc1": "up", "mlp.fc2": "down", "mlp": "mlp"},
    "resnet.BasicBlock": {"conv1": "conv", "conv2": "proj", "bn2": "branch"},
    "resnet.Bottleneck": {"conv1": "conv", "conv2": "conv", "conv3": "proj", "bn3": "branch"},
    "_efficientnet_blocks.InvertedResidual": {
        "conv_pw": "conv",
        "conv_dw": "dwconv",
        "conv_pwl": "proj",
        "bn3": "branch",
    },
    "_efficientnet_blocks.DepthwiseSeparableConv": {"conv_dw": "dwconv", "conv_pw": "proj", "bn2": "branch"},
    "_efficientnet_blocks.EdgeResidual": {"conv_exp": "conv", "conv_pwl": "proj", "bn2": "branch"},
    "_efficientnet_blocks.ConvBnAct": {"conv": "proj", "bn1": "branch"},
    "_efficientnet_blocks.UniversalInvertedResidual": {
        "dw_start.conv": "dwconv",
        "pw_exp.conv": "conv",
        "dw_mid.conv": "dwconv",
        "pw_proj.conv": "proj",
        "pw_proj.bn": "branch",
    },
    "modeling_bert.BertLayer": BERT,
    "modeling_roberta.RobertaLayer": BERT,
    "modeling_xlm_roberta.XLMRobertaLayer": BERT,
    "modeling_camembert.CamembertLayer": BERT,
    "modeling_electra.ElectraLayer": BERT,
    "modeling_deberta_v2.DebertaV2Layer": {
        "attention.self.query_proj": "q",
        "attention.self.key_proj": "k",
        "attention.self.value_proj": "v",
        "attention.output.dense": "o",
        **POST_LN_MLP,
    },
    "modeling_mpnet.MPNetLayer": {
        "attention.attn.q": "q",
        "attention.attn.k": "k",
        "attention.attn.v": "v",
        "attention.attn.o": "o",
        **POST_LN_MLP,
    },
    "modeling_albert.AlbertLayer": {  # one layer that runs many times: one block here, one set of branches
        "attention.query": "q",
        "attention.key": "k",
        "attention.value": "v",
        "attention.dense": "o",
        "ffn": "up",
        "ffn_output": "down",
        "ffn > ffn_output": "mlp",
    },
    "modeling_distilbert.TransformerBlock": {
        "attention.q_lin": "q",
        "attention.k_lin": "k",
        "attention.v_lin": "v",
        "attention.out_lin": "o",
        "ffn.lin1": "up",
        "ffn.lin2": "down",
        "ffn": "mlp",
    },
    "modeling_modernbert.ModernBertEncoderLayer": {
        "attn.Wqkv": QKV,
        "attn.Wo": "o",
        "mlp.Wi": "up",
        "mlp.Wo": "down",
        "mlp": "mlp",
    },
    "modeling_gpt2.GPT2Block": {
        "attn.c_attn": QKV,
        "attn.c_proj": "o",
        "mlp.c_fc": "up",
        "mlp.c_proj": "down",
        "mlp": "mlp",
    },
    "modeling_llama.LlamaDecoderLayer": LLAMA,
    "modeling_mistral.MistralDecoderLayer": LLAMA,
    "modeling_qwen2.Qwen2DecoderLayer": LLAMA,
    "modeling_qwen3.Qwen3DecoderLayer": LLAMA,
    "modeling_gemma.GemmaDecoderLayer": LLAMA,
    "modeling_smollm3.SmolLM3DecoderLayer": LLAMA,
}

STEMS = {"patch_embed.proj": "patch", "stem.0": "patch", "conv_stem": "patch", "conv1": "patch", "conv1.0": "patch"}

BYPASSES = {
    "beit.Block": "its attention reads qkv.weight directly",
    "swin_transformer_v2.SwinTransformerV2Block": "its attention reads qkv.weight directly",
    "eva.EvaBlock": "its fused attention reads qkv.weight directly (a variant with separate q, k and v can be)",
}
"""Blocks that call F.linear on `attn.qkv.weight`: whatever hangs on that module would be silently inert."""


def sites(model: nn.Module) -> tuple[Site, ...]:
    """The sites of a network, stem first, then block by block.

    A network with a residual block of a class not in `BLOCKS` has no block sites at all: some of its blocks only
    would be worse than none. Methods that need none (full fine-tuning, probe, BitFit, feature LoRA) work there.

    Raises:
        BadInput: attention that goes past its Linear.
    """
    unknown = sorted({_class_name(m) for m in model.modules() if _is_residual(m) and _class_name(m) not in BLOCKS})
    found, index = list(_sites_below(model, "", STEMS, -1)), -1
    for path, block in model.named_modules():
        name = _class_name(block)
        if name in BYPASSES and _has(block, "attn.qkv"):
            raise BadInput(
                f"{type(model).__name__} cannot be adapted: {BYPASSES[name]}, so a branch there would be inert"
            )
        if name in BLOCKS and not unknown:
            index += 1
            found.append(Site(path, "block", index))
            found.extend(_sites_below(block, path + ".", BLOCKS[name], index))
    return tuple(found)


def unknown_blocks(model: nn.Module) -> str:
    """The class of the residual blocks that `BLOCKS` does not know, and the layers in them, for a message."""
    repeated = (items[0] for m in model.modules() if isinstance(m, nn.ModuleList) and len(items := [*m]) > 1)
    blocks = [m for m in model.modules() if _is_residual(m)] or list(repeated)
    for block in blocks:
        layers = [path for path, m in block.named_modules() if isinstance(m, nn.Linear | nn.Conv2d)]
        if _class_name(block) not in BLOCKS and layers:
            return f"{_class_name(block)} with {', '.join(layers)}"
    return "no repeated blocks"


def _is_residual(module: nn.Module) -> bool:
    """timm gives every residual block a `drop_path` of its own; transformers' blocks have a common base class."""
    return any(name.startswith("drop_path") for name, _ in module.named_children()) or any(
        base.__name__ == "GradientCheckpointingLayer" for base in type(module).__mro__
    )


def _sites_below(root: nn.Module, prefix: str, table: dict[str, str], block: int) -> Iterator[Site]:
    for key, role in table.items():
        source, _, suffix = key.rpartition(" > ")
        if not _has(root, suffix):
            continue
        layer: Any = root.get_submodule(suffix)
        if role == QKV:
            third = layer.out_features // 3
            yield Site(prefix + suffix, "qkv", block)
            for i, part in enumerate(QKV.split()):
                yield Site(prefix + suffix, part, block, (i * third, (i + 1) * third))
        elif source:
            yield Site(prefix + suffix, role, block, source=prefix + source)
        elif not isinstance(layer, nn.Identity):
            grouped = isinstance(layer, nn.Conv2d) and layer.groups > 1 and role in ("conv", "proj")
            yield Site(prefix + suffix, "dwconv" if grouped else role, block)


def _class_name(module: nn.Module) -> str:
    return f"{type(module).__module__.rpartition('.')[2]}.{type(module).__name__}"


def _has(module: nn.Module, path: str) -> bool:
    try:
        return isinstance(module.get_submodule(path), nn.Module)
    except AttributeError:
        return False
