"""Which method for data of your own: from a folder of pictures, a table of texts or a folder of boxes to the answer.

Run it as `python studies/own_data.py pictures/`; it is no study of the suite's own, but what one types in a notebook.
`bench try pictures/` does the same, and its page, results/try-pictures/README.md, has the figures.
"""

from __future__ import annotations

import sys

import bench

DATA = "pictures/"


def main(data: str) -> None:
    """Tries methods on the data, and looks at what came of it."""
    tried = bench.try_(data, budget="30m")

    # What to use, and why; whether the data can decide that; what would decide it.
    print(tried)

    # What each method reaches and costs.
    columns = ["method", "recommended", "score", "low", "high", "verdict", "memory", "stored"]
    print(tried.methods[columns].to_string(index=False))

    # Which classes are found badly, and the most confident mistakes: perhaps these are labelled wrongly.
    print(tried.classes.to_string(index=False))
    print(tried.mistakes.head(10).to_string(index=False))

    # Would more labels help? The score on a quarter, on half and on all of the training part.
    print(tried.curve.to_string(index=False))


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else DATA)
