"""Checkpoint files: read as data and never as code, bounded, found, and the config text inside."""
