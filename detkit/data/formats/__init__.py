"""Formats of annotations: which one a folder holds, and a reader for each."""
