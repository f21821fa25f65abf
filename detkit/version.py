"""The version of detkit, alone in a file so that set-up can read it without importing torch."""

__version__ = "0.1.0"
