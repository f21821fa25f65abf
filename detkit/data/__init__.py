"""Data: formats in, checks, the ledger, splits, and the transforms that load them.

Reading this package costs nothing; the modules that register something, which need torch and
torchvision, are imported by the registry when a name of theirs is looked up.
"""
