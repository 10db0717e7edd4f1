from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from bench.report.data import published as data
from bench.report.data.published import RECORD, Row
from bench.report.page.published_page import lines, redraw_published

SETTINGS = {
    "model": "m", "method": "LoRA(rank=8)", "batch": 4, "length": 4096, "padding": "fixed", "precision": "bf16",
    "base": "nf4", "optimizer": "adamw", "update": "foreach", "checkpointing": "blocks", "attention": "flash",
    "accumulation": 1, "gpus": 1, "loss": "float32", "code": "transformers",
}  # fmt: skip


def figure(name: str, measured: str, published: int, ours: int | None, **more: Any) -> dict[str, Any]:
    source = dict.fromkeys(
        ("name", "repository", "path", "commit", "date", "gpu", "libraries", "measured_by", "settings"), "told"
    )
    return {
        "id": name, "measured": measured, "bytes": published, "said": f"{published} B", "line": f"| {published} |",
        "source": source, "settings": SETTINGS | more, "estimate": ours, "why": "" if ours else "no such kernel",
    }  # fmt: skip


RECORD_OF_FIVE = {
    "created_at": "2026-01-01T00:00:00+00:00", "git_sha": "abc", "versions": {"torch": "2"}, "margin": 0.08,
    "seconds": 1.0,
    "figures": [
        figure("smi", "nvidia-smi", 12 * 2**30, 9 * 2**30),
        figure("a", "allocated", 10 * 2**30, 9 * 2**30),
        figure("b", "allocated", 10 * 2**30, 10 * 2**30),
        figure("c", "allocated", 10 * 2**30, 12 * 2**30),
        figure("d", "allocated", 10 * 2**30, 20 * 2**30, unknown="the length", marked="after"),
        figure("e", "allocated", 10 * 2**30, None),
    ],
}  # fmt: skip


def test_the_spread_is_of_what_is_told_and_estimated() -> None:
    found = data.of_kind(data.ordered(RECORD_OF_FIVE), "allocated")
    near = data.spread(data.told(found))
    assert near is not None
    assert (near.n, round(near.typical, 3), round(near.bias, 3)) == (3, 0.1, 0.0)
    assert (round(near.lowest, 3), round(near.highest, 3)) == (-0.1, 0.2)
    assert data.spread(data.told(found, unknown=True)) == data.Spread(1, 1.0, 1.0, 1.0, 1.0)
    assert data.spread([]) is None
    assert Row(RECORD_OF_FIVE["figures"][-1]).error is None


def test_the_page_and_the_figure_come_from_the_record_alone(tmp_path: Path) -> None:
    (tmp_path / RECORD).write_text(json.dumps(RECORD_OF_FIVE), encoding="utf-8")
    redraw_published(tmp_path)
    page = (tmp_path / "README.md").read_text(encoding="utf-8")
    assert "Of the 3 figures of the largest allocated memory whose settings are all told" in page
    assert "the lowest error −10.0 %, the highest +20.0 %" in page
    assert "the length (noticed after the comparison)" in page
    assert "no such kernel" in page
    assert "4 × 4,096 tokens, bf16, weights in nf4" in page
    assert (tmp_path / "figures" / "published.png").stat().st_size > 10_000
    shown = [line[0] for line in lines(RECORD_OF_FIVE)]
    assert shown == ["a", "b", "c", "d", "e", "smi"]
