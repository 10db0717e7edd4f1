"""The tests mirror the packages of `bench`; `support` is what they share, `benchmarks` is timed and no test."""
