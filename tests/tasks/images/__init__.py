"""Tests of bench.tasks.images."""
