"""LoRA on a base that is stored in less is read against LoRA on the same network in fp32."""

from __future__ import annotations

from bench.report.data.bases import alike, in_fp32
from bench.report.data.flags import of_study
from bench.report.data.groups import groups
from bench.report.page.answer import answer
from tests.report.test_recommended import LORA, made

PACKED = {"name": "minilm-l6", "spec": "HuggingFace('minilm-l6', max_length=32, base='nf4')"}
WHOLE = {"name": "minilm-l6", "spec": "HuggingFace('minilm-l6', max_length=32)"}


def on(model, score, **changes):
    return [one for one in made(((*LORA[:3], score, 9.0),), model=model, **changes) if one["phase"] == "final"]


def test_a_base_in_nf4_is_compared_with_fp32_and_is_not_alone() -> None:
    less = {"memory": {"peak": 80 * 2**20, "kind": "tracked"}}
    records = [*on(WHOLE, 0.9), *on(PACKED, 0.8, **less)]
    whole, packed = groups(records)
    assert (whole.base, packed.base, packed.model) == ("", "nf4", "minilm-l6 in nf4")
    assert in_fp32(packed, [whole, packed]) is whole and in_fp32(whole, [whole, packed]) is None
    assert alike(packed, [whole, packed]) == [whole, packed] and in_fp32(packed, [packed]) is None
    first, second = answer([whole, packed])
    assert "against fp32" not in first and "has −10.0 points (" in second
    assert "against fp32: significantly worse, and takes 50% of its memory." in second
    assert not any("alone" in flag for flag in of_study(records, [whole, packed]))
    assert any("one configuration alone" in flag for flag in of_study(records[:3], [whole]))
