"""Which method goes on which class of network: tried on shapes, for the table in bench/methods/README.md."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterator, Mapping

from tqdm import tqdm

from bench.methods import METHODS, Method
from bench.models.huggingface import HuggingFace
from bench.models.matrix import WORKS, verdict
from bench.models.timm_models import Timm
from bench.models.torchvision_models import Torchvision
from bench.sites import CONV, MLP

NETWORKS = {
    "ViT": Timm("vit_base_patch16_224"),
    "Swin": Timm("swin_tiny_patch4_window7_224"),
    "ResNet": Timm("resnet50"),
    "ConvNeXt": Timm("convnext_tiny"),
    "BERT": HuggingFace("bert-base-uncased"),
    "GPT-2": HuggingFace("gpt2"),
    "Llama": HuggingFace("meta-llama/Llama-3.2-1B"),
    "FCOS": Torchvision("fcos_resnet50_fpn"),
}
"""Class → one network of it: of pictures, of text, decoders among them, and a detector."""
PLACES = {"conv": CONV, "MLP": MLP}
"""Where a method is tried that chooses roles, if its own are not there."""
WORDS = {
    "vision transformers": "no grid",
    "for texts": "no words",
    "no layer normalisation": "no LayerNorm",
    "no bias": "no bias",
    "Conv2d is no Linear": "no Linear",
    "is no ungrouped": "no kernel",
    "no site matches": "no layer",
}
"""What a refusal says → the word for it."""
RAISED = str.maketrans("0123456789", "⁰¹²³⁴⁵⁶⁷⁸⁹")


def tried(model: object, method: Method) -> tuple[str, str]:
    """A cell, and its note or "": ✓, with the place if that is not at the method's own roles, or a word of why not."""
    found, place = verdict(model, method), ""
    roles = [name for name in method.config if name.rpartition(".")[2] == "at"]
    for name, at in PLACES.items() if roles else ():
        if "no site matches" not in found:
            break
        found, place = verdict(model, method.having(dict.fromkeys(roles, at))), name
    if not found.startswith(WORKS):
        word = next((word for sign, word in WORDS.items() if sign in found), found.partition(":")[0])
        return word, _short(found.partition(": ")[2])
    part = re.search(r"no role is known for (?:body\.)?([^\s,]+)", found)
    return f"✓ {place}".strip(), f"in part: no role is known for {part[1]} and its like" if part else ""


def _short(refusal: str) -> str:
    """The first clause, without the layer's path: that differs from network to network."""
    said = re.sub(r"^\w+: ", "", refusal)
    said = re.sub(r"cannot adapt \S+: ", "adapts none here, as a ", said)
    return re.split(r"[;:] |, blocks", said)[0]


def cells(networks: Mapping[str, object], methods: Mapping[str, type[Method]]) -> Iterator[tuple[str, str, str, str]]:
    """(method, network, cell, note) for all, with a progress bar."""
    for name, model in tqdm(networks.items(), unit="network"):
        for cls in methods.values():
            yield (cls.__name__, name, *tried(model.untrained(), cls()))  # type: ignore[attr-defined]


def markdown() -> str:
    """The table and its notes."""
    found = list(cells(NETWORKS, METHODS))
    notes = list(dict.fromkeys(note for *_, note in found if note))
    rows: dict[str, list[str]] = {}
    for method, _, cell, note in found:
        rows.setdefault(method, []).append(cell + str(notes.index(note) + 1).translate(RAISED) if note else cell)
    lines = [f"| method | {' | '.join(NETWORKS)} |", "|---" * (len(NETWORKS) + 1) + "|"]
    lines += [f"| `{method}` | {' | '.join(row)} |" for method, row in rows.items()]
    told = (textwrap.wrap(f"{n}. {note}", 118, subsequent_indent="   ") for n, note in enumerate(notes, 1))
    return "\n".join([*lines, "", *(line for each in told for line in each)])
