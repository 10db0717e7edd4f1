"""What tables, figures and pages say, computed from the records.

- groups, measured, names, details: what may stand in one figure, means over seeds, and what they are called.
- bases: groups that differ in the frozen base alone. differences: paired by seed.
- ranks: curves over rank, and the smallest that suffices. tradeoffs: score against cost.
- recommended: which to use, within limits. advice: that in sentences.
- own_data: of data of one's own, what is confused, wrong and trusted, and whether more labels would help.
- flags: what to know before believing. wording: sentences that figures and pages share.
- convergence: what still improved when it stopped. speed: how soon a target is reached.
- searches, gains, expected_best: what was tuned, and what that brought.
- retention: what became of an old task. robustness: what was found where data shift. chance: what guessing scores.
- budgets: which configurations train about as many parameters.
- published: memory against published figures. activations: what holds the memory of a step.
- display: names from data, made safe for pages and terminals.
- paired_outcomes: what single test samples say of one configuration, and of two.
- matched_boxes: which predictions of a detector find a true box.
"""
