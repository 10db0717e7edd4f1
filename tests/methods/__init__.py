"""Tests of bench.methods."""
