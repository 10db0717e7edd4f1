"""Tests of bench.execution."""
