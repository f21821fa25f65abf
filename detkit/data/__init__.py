"""Data: formats, checks, the ledger, splits, and the transforms of the pipelines.

Importing this package imports nothing heavy; modules that register something, and need torch and
torchvision, are imported by the registry when a name of theirs is looked up.
"""
