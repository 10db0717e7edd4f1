"""What methods.py, initialisation.py and quantised.py say of their records, as queries: a part of statements.py."""

from __future__ import annotations

from bench.report.data import differences
from bench.report.queries import FULL, Facts, listed, points, short
from bench.report.sentences import against_full, at_ends, changes, scatter
from bench.report.statements import Statement

METHODS, INITIALISATION, QUANTISED = "studies/methods.py", "studies/initialisation.py", "studies/quantised.py"
FAMILIES = {"pictures": "mnist-5k", "texts": "rotten-tomatoes", "boxes": "tree-crowns"}
TWO = {name: task for name, task in FAMILIES.items() if name != "boxes"}
REFERENCE = "LoRA r=8 q+v"
NETWORKS = {"vit_small_patch14_dinov2": "Pictures", "minilm-l6": "Texts"}
BASES = ("bf16", "int8", "nf4")


def on_bases(network: str, lead: str) -> Statement:
    """LoRA's accuracy and memory on a base of each precision, beside fp32."""

    def said(facts: Facts) -> dict[str, object]:
        (plain,) = facts.group(network).configurations
        others = {base: facts.group(f"{network} in {base}").configurations[0] for base in BASES}
        whole = plain.memory or 0
        apart = {base: differences.difference(one, plain) for base, one in others.items()}
        return {
            "plain": short(plain.score.mean),
            "apart": listed(f"{base} {points(one)}" for base, one in apart.items() if one is not None),
            "memory": listed(f"{base} {100 * (one.memory or 0) / whole:.0f} %" for base, one in others.items()),
            "whole": f"{whole / 2**20:.0f}",
        }

    return Statement(
        QUANTISED,
        "quantised",
        lead + ": {plain} on fp32; more than that, in points: {apart}. Memory of training, of the {whole} MiB on fp32: "
        "{memory}.",
        said,
    )


OF_METHODS = (
    against_full(METHODS, "methods", "mnist-5k", "Pictures (MNIST-5k, 200 digits of 42 px, DINOv2-S/14), top-1"),
    against_full(METHODS, "methods", "rotten-tomatoes", "Texts (Rotten Tomatoes, 400 snippets, MiniLM-L6), top-1"),
    against_full(METHODS, "methods", "tree-crowns", "Boxes (62 tiles at 96 px, EfficientNet-Lite0 under FCOS), box AP"),
    scatter(METHODS, "methods", FAMILIES),
    at_ends(METHODS, "methods", FAMILIES, FULL),
    changes(INITIALISATION, "initialisation", "mnist-5k", "Pictures (MNIST-5k, 200 digits of 42 px, DINOv2-S/14), "
            "top-1", REFERENCE),
    changes(INITIALISATION, "initialisation", "rotten-tomatoes", "Texts (Rotten Tomatoes, 400 snippets, MiniLM-L6), "
            "top-1", REFERENCE),
    scatter(INITIALISATION, "initialisation", TWO),
    Statement(
        INITIALISATION,
        "initialisation",
        "No chosen rate lies at an end of its grid.",
        holds=lambda facts: not any(c.at_edge for group in facts.groups for c in group.configurations),
    ),
    *(on_bases(network, f"{name}, top-1") for network, name in NETWORKS.items()),
)  # fmt: skip
