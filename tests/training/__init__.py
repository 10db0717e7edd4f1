"""Tests of bench.training."""
