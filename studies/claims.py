"""What others published about fine-tuning with LoRA and other methods, and how our records decide on it.

Not a study: nothing is run. `make claims` answers from the records in results/; `bench claims --power` says what a rule
can decide at a scale. Rules stand on 95 % intervals in points of accuracy on test: over seeds and test samples where
records keep outcomes, else over seeds; of the mean over tasks, a fixed set.

**Rules before runs.** The rules were revised once, in the commit that brought this paragraph, before any run at
`overnight`: the veto of single tasks went (it made "close to" undecidable at any number of seeds; the difference on
each task is said instead), and "no better by more than a point" became an outcome of whatever claims to be better.
Before that they had been written before the records of placement, low-data and forgetting at `laptop` were whole, those
on rank-sweep, learning-rate and costs after, and three were changed after a review that had seen them; the one on
forgetting was CONFIRMED by what is drift under a frozen old head, and now asks for a head that is fitted again.

Three seeds decide little. Most answers at the laptop scale are, and should be, INCONCLUSIVE.

More claims stand in claims_against_full.py.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from bench.report.claims import Claim, Contrast, Evidence, Finding, Pick, differences, fewest, load, lora_at
from bench.report.data.measured import Configuration
from bench.report.data.names import headings
from bench.report.rules import CLOSE, GREATER, NO_WORSE, POINT, at_least, beats, together, within
from bench.sites import ALL, ATTENTION, MLP

LORA, FULL = Pick("LoRA"), Pick("FullFineTuning")


def refitted(configuration: Configuration) -> Mapping[int, float]:
    """By seed, accuracy on the old task under a head that is fitted again to the trained network: what it still knows.

    Not under the head of the untouched network: a fall there shows that the features drifted, and may forget nothing.
    """
    return configuration.on_old_task("refitted")


@dataclass(frozen=True)
class Rates:
    """The learning rates that were chosen on a task of learning-rate.

    Args:
        task: its name.
        loras: LoRA's by rank.
        full: full fine-tuning's.
        step: factor between neighbours of full fine-tuning's grid.
        edge: whether one of them lies at the edge of what was searched.
    """

    task: str
    loras: dict[int, float]
    full: float
    step: float
    edge: bool

    def verdict(self, confirmed: bool, refuted: bool) -> str:
        """A rate at the edge of its grid decides nothing: the best one may lie outside."""
        return "INCONCLUSIVE" if self.edge else "CONFIRMED" if confirmed else "REFUTED" if refuted else "INCONCLUSIVE"


def best_rates(evidence: Evidence) -> list[Rates]:
    """Of each task of learning-rate with full fine-tuning and LoRA."""
    found = []
    groups = evidence.of("learning-rate")
    for group, name in zip(groups, headings(groups), strict=True):
        loras, fulls = [c for c in group.of("LoRA") if c.rank is not None], group.of("FullFineTuning")
        trails = [c.runs[0].get("tuning") or {} for c in (*loras, *fulls)]
        tried = [(t.get("params") or {}).get("lr") for t in trails[-1].get("trials") or ()] if fulls else []
        rates = sorted({rate for rate in tried if isinstance(rate, float)})
        chosen = {c.rank or 0: rate for c in loras if (rate := c.runs[0]["training"].get("lr"))}
        full = fulls[-1].runs[0]["training"].get("lr") if fulls else None
        if chosen and full and len(rates) > 1:
            edge = any(trail.get("edge") for trail in trails)
            found.append(Rates(name, chosen, full, rates[1] / rates[0], edge))
    return found


def ten_times(evidence: Evidence) -> Finding:
    """Each rank's ratio is known to a step of the grid: half a step on either side of both rates."""
    verdicts, said = [], []
    for one in best_rates(evidence):
        ratios = [rate / one.full for rate in one.loras.values()]
        near = [ratio / one.step <= 10 <= ratio * one.step for ratio in ratios]
        verdicts.append(one.verdict(all(near), not any(near)))
        said.append(f"{one.task} {min(ratios):.0f} to {max(ratios):.0f}{' (edge)' * one.edge}")
    if not said:
        return Finding("INCONCLUSIVE", "no records of learning-rate")
    verdict = verdicts[0] if len(set(verdicts)) == 1 else "INCONCLUSIVE"
    return Finding(verdict, "times full fine-tuning's, over ranks: " + ", ".join(said))


def same_rate(evidence: Evidence) -> Finding:
    """Confirmed on a task if all ranks' best rates lie within a step of the grid; refuted beyond two."""
    verdicts, said = [], []
    for one in best_rates(evidence):
        spread = max(one.loras.values()) / min(one.loras.values())
        near, far = len(one.loras) > 1 and spread <= 1.1 * one.step, spread > 1.1 * one.step**2
        verdicts.append(one.verdict(near, far))
        rates = ", ".join(f"r={rank} {rate:.2g}" for rank, rate in sorted(one.loras.items()))
        said.append(f"{one.task} {rates}{' (edge)' * one.edge}")
    return Finding(together(verdicts), "; ".join(said) or "no records of learning-rate")


def memory(evidence: Evidence) -> Finding:
    """Deterministic counts: what varies is the network, so the rule must hold on every one."""
    shares = []
    for group in evidence.of("costs"):
        lora = Pick("LoRA", {"rank": 8, "at": ["q", "v"]})
        parts = [
            (c.runs[0]["memory"] or {}).get("cuda", {}).get("32", {}).get("breakdown")
            for pick in (lora, FULL) if (c := pick.of(group))
        ]  # fmt: skip
        if len(parts) == 2 and all(parts):
            first, second = (part["gradients"] + part["optimizer"] for part in parts)
            shares.append((first / second, parts[0]["activations"] / parts[1]["activations"]))
    if not shares:
        return Finding("INCONCLUSIVE", "no records of costs")
    state, kept = [share[0] for share in shares], [share[1] for share in shares]
    ours = (
        f"of full fine-tuning's, estimated for a GPU, {len(shares)} networks: gradients and optimizer "
        f"{min(state):.1%} to {max(state):.1%}, activations {min(kept):.0%} to {max(kept):.0%}"
    )
    if max(state) < 1 / 3 and min(kept) > 2 / 3:
        return Finding("CONFIRMED", ours)
    return Finding("REFUTED" if min(state) > 1 / 3 or max(kept) < 2 / 3 else "INCONCLUSIVE", ours)


CLAIMS = (
    Claim(
        "rank-flat",
        "LoRA is about as good at rank 1 as at rank 64.",
        "Hu et al. 2021, Table 6 (arXiv:2106.09685)",
        "WikiSQL 73.4 at r=1, 73.5 at r=64; MultiNLI 91.3 and 91.4 (GPT-3, q and v)",
        CLOSE,
        differences(within(POINT), Contrast("rank-sweep", Pick("LoRA", {"rank": 64}), Pick("LoRA", {"rank": 1}))),
        effect=0.0,
        counter="Biderman et al. 2024 (arXiv:2405.09673) find higher ranks better on code",
    ),
    Claim(
        "query-value",
        "Adapting q and v together beats q or k alone with as many parameters.",
        "Hu et al. 2021, Table 5 (arXiv:2106.09685)",
        "WikiSQL: q 70.4, k 70.0, q and v 73.7; MultiNLI: 91.0, 90.8, 91.3 (GPT-3)",
        GREATER,
        differences(
            beats,
            Contrast("placement", lora_at("q", "v"), lora_at("q")),
            Contrast("placement", lora_at("q", "v"), lora_at("k")),
        ),
        effect=0.003,
    ),
    Claim(
        "mlp-over-attention",
        "LoRA on the MLP beats LoRA on attention alone with as many parameters.",
        "Schulman and Thinking Machines Lab 2025, LoRA Without Regret",
        "MLP-only at rank 128 above attention-only at rank 256 (Llama 3.1 8B, .24 and .25 billion parameters)",
        GREATER,
        differences(beats, Contrast("placement", lora_at(*MLP), lora_at(*ATTENTION))),
        effect=0.01,
        assumed=True,
    ),
    Claim(
        "all-linear",
        "LoRA on all linear layers is no worse than on attention alone with as many parameters.",
        "Dettmers et al. 2023, section 4 and Figure 2 (arXiv:2305.14314)",
        "only LoRA on all layers matches full fine-tuning (LLaMA 7B on Alpaca); at equal rank, not equal parameters",
        NO_WORSE,
        differences(at_least(POINT), Contrast("placement", lora_at(*ALL), lora_at(*ATTENTION))),
        effect=0.0,
        assumed=True,
    ),
    Claim(
        "ten-times-the-rate",
        "LoRA's best learning rate is about ten times full fine-tuning's.",
        "Schulman and Thinking Machines Lab 2025, LoRA Without Regret",
        "9.8 times",
        "confirmed if 10 lies within a grid step of every rank's ratio on every task, refuted if of none; an optimum "
        "at the edge of its grid decides nothing",
        ten_times,
    ),
    Claim(
        "rate-independent-of-rank",
        "Under the scaling alpha/r the best learning rate does not depend on the rank.",
        "Hu et al. 2021, section 4.1 (arXiv:2106.09685); Schulman and Thinking Machines Lab 2025",
        'alpha/r "helps to reduce the need to retune hyperparameters when we vary r"',
        "confirmed if the best rates of two ranks or more lie within a grid step on every task, refuted if beyond two "
        "on one; an optimum at the edge of its grid decides nothing",
        same_rate,
    ),
    Claim(
        "low-data",
        "With few samples LoRA is no worse than full fine-tuning.",
        "Hu et al. 2021, Table 16 (arXiv:2106.09685)",
        "MNLI with 100 samples: LoRA 63.8, full fine-tuning 60.2 (GPT-3)",
        f"at ten samples a class: {NO_WORSE}",
        differences(at_least(POINT), Contrast("low-data", LORA, FULL, fewest)),
        effect=0.036,
    ),
    Claim(
        "bitfit",
        "Training the biases alone comes close to LoRA.",
        "Ben Zaken et al. 2021, Table 2 (arXiv:2106.10199); Hu et al. 2021, Table 2",
        "GLUE: BitFit 84.7, LoRA 87.2 (RoBERTa-base)",
        "confirmed if the whole interval lies above −2.5 points, the distance of the source, refuted if below that",
        differences(at_least(2.5 * POINT), Contrast("low-data", Pick("BitFit"), LORA)),
        effect=-0.015,
        assumed=True,
    ),
    Claim(
        "layer-norm",
        "Training the layer normalisations alone comes close to LoRA, or above.",
        "Zhao et al. 2023 (arXiv:2312.11420)",
        "20 % above LoRA on average over five multi-modal tasks (LLaMA 2 13B)",
        NO_WORSE,
        differences(at_least(POINT), Contrast("low-data", Pick("LayerNormTuning"), LORA)),
        effect=0.0,
        assumed=True,
    ),
    Claim(
        "plain-adapter",
        "A tuned plain adapter is on par with newer ones.",
        "Steitz and Roth 2024, Adapters Strike Back (arXiv:2406.06820)",
        "Adapter+ 77.6 on VTAB-1k with ViT-B, above AdaptFormer and LoRA",
        f"Pfeiffer's against AdaptFormer's of the same width, and against LoRA: {NO_WORSE}",
        differences(
            at_least(POINT),
            Contrast("rank-sweep", Pick("Pfeiffer"), Pick("AdaptFormer")),
            Contrast("rank-sweep", Pick("Pfeiffer"), Pick("LoRA", {"rank": 8})),
        ),
        effect=0.0,
        assumed=True,
    ),
    Claim(
        "forgets-less",
        "LoRA forgets less of what the network knew than full fine-tuning.",
        "Biderman et al. 2024 (arXiv:2405.09673)",
        "higher accuracy on HellaSwag, ARC and WinoGrande after training on code and mathematics (Llama 2 7B); but "
        "peft's method_comparison/MetaMathQA (commit 5d602fd, Llama 3.2 3B, one seed each) has the loss on Wikipedia "
        "rise by .030 with full fine-tuning at 1e-5, by .050 (r=32), .059 and .111 (r=64, the latter rank-stabilised) "
        "with LoRA on q and v, by .032 on the MLP (r=10)",
        "accuracy on an old task under a head fitted again after training on a new one, LoRA r=8 on q and v and on all "
        f"layers: {GREATER}",
        differences(
            beats,
            Contrast("forgetting", Pick("LoRA", {"rank": 8, "at": ["q", "v"]}), FULL, score=refitted),
            Contrast("forgetting", Pick("LoRA", {"rank": 8, "at": list(ALL)}), FULL, score=refitted),
        ),
        effect=0.02,
        assumed=True,
        counter="Shuttleworth et al. 2024 (arXiv:2410.21228); peft's method_comparison, see theirs",
    ),
    Claim(
        "memory",
        "LoRA saves the memory of gradients and optimizer, but little of the activations'.",
        "Hu et al. 2021, section 4.2 (arXiv:2106.09685); Zhang et al. 2023 (arXiv:2308.03303)",
        "GPT-3: 1.2 TB to 350 GB, for no optimizer states of frozen weights",
        "on every network: confirmed if less than a third of gradients and optimizer and more than two thirds of the "
        "activations remain",
        memory,
    ),
    *load(Path(__file__).with_name("claims_against_full.py")),
)
