"""Checkpoint files: finding, loading as data, publishing, and parsing the config inside."""
