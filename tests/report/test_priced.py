"""The table of what each method costs beside its score."""

from __future__ import annotations

from bench.report.data.groups import groups
from bench.report.page.priced import priced_section
from tests.report.test_recommended import FULL, LORA, PROBE, made


def test_every_method_has_its_place_and_its_costs() -> None:
    steps = made((PROBE, LORA, FULL), step={"seconds": 0.25})
    title, rows, about = priced_section(groups(steps)[0])
    assert title == "### Score against costs" and "merged where the method can be" in about
    first, second, third = rows.splitlines()[2:]
    assert first.startswith("| 1 | full fine-tuning | 0.9") and "| best mean | 21,589,632 | 400 MiB | 250 ms |" in first
    assert second.startswith("| 2 | LoRA r=8 | 0.9") and second.endswith("| 10 ms |") and "2.57 MiB" in second
    assert third.startswith("| 3 | linear probe | ") and "significantly worse" in third
    assert list(priced_section(groups(made((LORA,)))[0])) == [], "nothing is compared"
    assert list(priced_section(groups(made((LORA, FULL), inference={}))[0])) == [], "no latency was measured"
