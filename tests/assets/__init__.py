"""Tests of bench.assets."""
