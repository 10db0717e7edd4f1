"""Tests of bench.tasks.baselines."""
