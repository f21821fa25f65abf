"""Fixtures of the config tests: tiny runs."""

from run_fixtures import tiny_config, tiny_data, trained_classifier

__all__ = ["tiny_config", "tiny_data", "trained_classifier"]
