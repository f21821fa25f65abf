"""Fixtures of the tests of planned runs: the tiny data."""

from run_fixtures import tiny_data

__all__ = ["tiny_data"]
