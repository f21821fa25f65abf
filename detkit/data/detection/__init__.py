"""Detection data: loaded, checked, and split."""
