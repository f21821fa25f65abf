"""Annotation formats: detection of the format of a folder, and a reader for each."""
