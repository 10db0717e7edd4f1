"""Benchmarks: `make bench`. Ratios within one run; absolute times say more of the machine than of the code."""
