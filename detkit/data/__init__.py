"""Data: formats in, checks, the ledger, splits, and the transforms that load them."""

from detkit.data import loading

__all__ = ["loading"]
