"""Tests of bench.study."""
