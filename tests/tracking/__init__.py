"""Tests of bench.tracking."""
