"""What studies/costs.py says of its records, as queries: a part of statements.py."""

from __future__ import annotations

from bench.report import queries
from bench.report.queries import FULL, PROBE, latency, memory, percent, within
from bench.report.statements import Statement

VITS = ("vit_small_patch16_224", "vit_base_patch16_224", "vit_large_patch16_224", "vit_huge_patch14_224")
BERTS = ("bert-base-uncased", "bert-large-uncased")
TIMED = (*VITS[:3], *BERTS)
QV, EVERYWHERE = "LoRA r=8 q+v", "LoRA r=8 all linear"
COSTS = (
    Statement(
        "studies/costs.py",
        "costs",
        "In batches of 32 LoRA takes {vits} of full fine-tuning's memory on ViT-S, B, L and H, {berts} on BERT-base "
        "and large; on ViT-H {one} at one sample and {many} at 128.",
        lambda f: {
            "vits": percent(memory(f, vit, QV) for vit in VITS),
            "berts": percent(memory(f, bert, QV) for bert in BERTS),
            **{name: percent([memory(f, VITS[-1], QV, n)]) for name, n in (("one", 1), ("many", 128))},
        },
    ),
    Statement(
        "studies/costs.py",
        "costs",
        "r = 64 takes {ranks} more than r = 1; on all linear layers LoRA takes {small} of full fine-tuning's on ViT-S "
        "and {bert} on BERT-large, more than Houlsby's adapters.",
        lambda f: {
            "ranks": within(memory(f, n, "LoRA r=64 q+v") / memory(f, n, "LoRA r=1 q+v") for n in (*VITS, *BERTS)),
            **{name: percent([memory(f, n, EVERYWHERE)]) for name, n in (("small", VITS[0]), ("bert", BERTS[1]))},
        },
        lambda f: all(memory(f, n, EVERYWHERE) > memory(f, n, "Houlsby adapter") for n in (VITS[0], BERTS[1])),
    ),
    Statement(
        "studies/costs.py",
        "costs",
        "In the last six blocks it takes {six_b} on ViT-B (12 blocks) and {six_h} on ViT-H (32), in the last two "
        "{two_b} and {two_h}, a linear probe {p_b} and {p_h}.",
        lambda f: {
            f"{name}_{key}": percent([memory(f, network, label)])
            for key, network in (("b", VITS[1]), ("h", VITS[3]))
            for name, label in (("six", f"{QV} last 6 blocks"), ("two", f"{QV} last 2 blocks"), ("p", PROBE))
        },
    ),
    Statement(
        "studies/costs.py",
        "costs",
        "On FCOS with a ResNet-50, whose head trains with all methods, LoRA on all convolutions takes {lora}, BitFit "
        "{bitfit} and a frozen backbone {frozen}.",
        lambda f: {
            name: percent([memory(f, "fcos_resnet50_fpn", label)])
            for name, label in (("lora", "LoRA r=8"), ("bitfit", "BitFit"), ("frozen", PROBE))
        },
    ),
    Statement(
        "studies/costs.py",
        "costs",
        "A step of LoRA takes {vits} of a full one's time on ViT-S, B and L, {berts} on the BERTs, {boxes} on the "
        "detector.",
        lambda f: {
            "vits": percent(queries.seconds(f, vit, QV) for vit in VITS[:3]),
            "berts": percent(queries.seconds(f, bert, QV) for bert in BERTS),
            "boxes": percent([queries.seconds(f, "fcos_resnet50_fpn", "LoRA r=8")]),
        },
    ),
    Statement(
        "studies/costs.py",
        "costs",
        "Unmerged, LoRA on q and v adds {qv} to the latency of one sample, on all linear layers {every}, Houlsby's "
        "adapters {houlsby}; two networks of the very same operations differ by up to {noise}.",
        lambda f: {
            "qv": within(latency(f, n, QV, "unmerged") for n in TIMED),
            "every": within(latency(f, n, EVERYWHERE, "unmerged") for n in TIMED),
            "houlsby": within(latency(f, n, "Houlsby adapter", "unmerged") for n in TIMED),
            "noise": percent([max(abs(latency(f, n, m, "unmerged") - 1) for n in TIMED for m in (FULL, PROBE))]),
        },
    ),
)
