"""More published claims: against full fine-tuning, on placements, and where data shift. `claims.py` has the others."""

from __future__ import annotations

from collections.abc import Mapping
from statistics import mean

from bench.report.claims import Claim, Contrast, Pick, Score, differences, fewest, lora_at
from bench.report.data.groups import Group
from bench.report.data.measured import Configuration
from bench.report.rules import CLOSE, GREATER, NO_WORSE, POINT, at_least, beats, within
from bench.sites import ALL, ATTENTION, MLP

LORA, FULL = Pick("LoRA"), Pick("FullFineTuning")


def enough(group: Group) -> bool:
    """More than ten training samples a class."""
    return not fewest(group)


def corrupted(configuration: Configuration) -> Mapping[int, float]:
    """By seed, accuracy on corrupted samples: the mean over corruptions and severities."""
    found = {}
    for run in configuration.runs:
        by = ((run.get("robustness") or {}).get("corruptions") or {}).values()
        if scores := [float(at["top1"]) for each in by for at in each.values()]:
            found[run["seed"]] = mean(scores)
    return found


def of_means(alpha: str) -> Score:
    """By seed, accuracy on corrupted samples of (1 − α) the weights before training and α those after."""

    def score(configuration: Configuration) -> Mapping[int, float]:
        both = {run["seed"]: (run.get("robustness") or {}).get("interpolation") or {} for run in configuration.runs}
        return {seed: float(by[alpha]["corrupted"]["top1"]) for seed, by in both.items() if alpha in by}

    return score


CLAIMS = (
    Claim(
        "matches-full",
        "LoRA is no worse than full fine-tuning.",
        "Hu et al. 2021, Table 2 (arXiv:2106.09685)",
        "GLUE: LoRA 87.2, full fine-tuning 86.4 (RoBERTa-base)",
        f"r = 8 on q and v: {NO_WORSE}",
        differences(at_least(POINT), Contrast("rank-sweep", Pick("LoRA", {"rank": 8, "at": ["q", "v"]}), FULL)),
        effect=0.008,
        counter="Biderman et al. 2024 (arXiv:2405.09673), the claim full-above-lora",
    ),
    Claim(
        "full-above-lora",
        "Full fine-tuning beats LoRA at low rank.",
        "Biderman et al. 2024, abstract (arXiv:2405.09673)",
        '"in the standard low-rank settings, LoRA substantially underperforms full finetuning" (code, mathematics)',
        f"against r = 8 on q and v: {GREATER}",
        differences(beats, Contrast("rank-sweep", FULL, Pick("LoRA", {"rank": 8, "at": ["q", "v"]}))),
        effect=0.02,
        assumed=True,
        counter="Schulman and Thinking Machines Lab 2025; Hu et al. 2021, the claim matches-full",
    ),
    Claim(
        "all-linear-matches-full",
        "LoRA on all linear layers matches full fine-tuning.",
        "Dettmers et al. 2023, section 4 and Figure 2 (arXiv:2305.14314)",
        "LoRA on all layers matches full fine-tuning (LLaMA 7B on Alpaca)",
        NO_WORSE,
        differences(at_least(POINT), Contrast("placement", lora_at(*ALL), FULL)),
        effect=0.0,
        assumed=True,
        counter="Biderman et al. 2024 (arXiv:2405.09673) with all layers too",
    ),
    Claim(
        "all-over-mlp",
        "LoRA on all linear layers beats LoRA on the MLP alone with as many parameters.",
        "Biderman et al. 2024 (arXiv:2405.09673)",
        "which modules to adapt, in this order: all, MLP, attention",
        GREATER,
        differences(beats, Contrast("placement", lora_at(*ALL), lora_at(*MLP))),
        effect=0.01,
        assumed=True,
        counter="Schulman and Thinking Machines Lab 2025: attention adds nothing to the MLP",
    ),
    Claim(
        "value-over-query",
        "Adapting v alone beats adapting q alone.",
        "Hu et al. 2021, Table 5 (arXiv:2106.09685)",
        "WikiSQL: v 73.0, q 70.4; MultiNLI: 91.0 both (GPT-3)",
        GREATER,
        differences(beats, Contrast("placement", lora_at("v"), lora_at("q"))),
        effect=0.013,
    ),
    Claim(
        "attention-as-query-value",
        "Adapting all of attention is about as good as q and v with as many parameters.",
        "Hu et al. 2021, Table 5 (arXiv:2106.09685)",
        "WikiSQL: 73.7 both; MultiNLI: 91.7 and 91.3 (GPT-3)",
        CLOSE,
        differences(within(POINT), Contrast("placement", lora_at(*ATTENTION), lora_at("q", "v"))),
        effect=0.002,
    ),
    Claim(
        "rank-flat-all-linear",
        "On all linear layers too, LoRA is about as good at rank 1 as at rank 64.",
        "Dettmers et al. 2023, section 4 (arXiv:2305.14314)",
        "the rank is unrelated to the final score if LoRA is on all layers",
        CLOSE,
        differences(
            within(POINT),
            Contrast(
                "rank-sweep", Pick("LoRA", {"rank": 64, "at": list(ALL)}), Pick("LoRA", {"rank": 1, "at": list(ALL)})
            ),
        ),
        effect=0.0,
        assumed=True,
    ),
    Claim(
        "enough-data",
        "With more than a few samples LoRA and full fine-tuning are about as good.",
        "Schulman and Thinking Machines Lab 2025, LoRA Without Regret",
        "no difference on small to medium data sets of instructions and reasoning",
        f"at more than ten samples a class: {CLOSE}",
        differences(within(POINT), Contrast("low-data", LORA, FULL, enough)),
        effect=0.0,
        assumed=True,
        counter="Biderman et al. 2024 (arXiv:2405.09673)",
    ),
    Claim(
        "bitfit-matches-full",
        "With small to medium data, training the biases alone is competitive with full fine-tuning.",
        "Ben Zaken et al. 2021, abstract (arXiv:2106.10199)",
        "competitive with, and sometimes better than, full fine-tuning (BERT)",
        NO_WORSE,
        differences(at_least(POINT), Contrast("low-data", Pick("BitFit"), FULL)),
        effect=0.0,
        assumed=True,
    ),
    Claim(
        "adapter-matches-full",
        "Houlsby's adapter comes within a point of full fine-tuning.",
        "Houlsby et al. 2019, abstract (arXiv:1902.00751)",
        "GLUE: within 0.4 % of full fine-tuning, with 3.6 % of the parameters a task (BERT)",
        NO_WORSE,
        differences(at_least(POINT), Contrast("rank-sweep", Pick("Houlsby"), FULL)),
        effect=-0.004,
    ),
    Claim(
        "tuning-over-probe",
        "Full fine-tuning beats the linear probe on data like those of training.",
        "Kumar et al. 2022, abstract (arXiv:2202.10054)",
        "2 % higher accuracy on average over ten shifts, in distribution",
        GREATER,
        differences(beats, Contrast("rank-sweep", FULL, Pick("LinearProbe"))),
        effect=0.02,
    ),
    Claim(
        "probe-robust",
        "Where data shift, the linear probe beats full fine-tuning.",
        "Kumar et al. 2022, abstract (arXiv:2202.10054)",
        "7 % higher accuracy on average over ten shifts, out of distribution",
        f"accuracy on corrupted samples, mean over corruptions and severities: {GREATER}",
        differences(beats, Contrast("robustness", Pick("LinearProbe"), FULL, score=corrupted)),
        effect=0.07,
    ),
    Claim(
        "means-of-weights",
        "The mean of the weights before and after training beats full fine-tuning where data shift.",
        "Wortsman et al. 2021, abstract (arXiv:2109.01903)",
        "4 to 6 points above earlier work on five shifts of ImageNet (CLIP)",
        f"accuracy on corrupted samples, α = .5 against α = 1: {GREATER}",
        differences(beats, Contrast("robustness", FULL, FULL, score=of_means("0.5"), against=of_means("1"))),
        effect=0.04,
        assumed=True,
    ),
)
