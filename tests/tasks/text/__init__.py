"""Tests of bench.tasks.text."""
