"""Validation of a config: every key, name and argument, before anything is built."""
