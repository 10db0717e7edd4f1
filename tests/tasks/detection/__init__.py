"""Tests of bench.tasks.detection."""
