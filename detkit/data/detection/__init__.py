"""Detection data: loading, checks and splits."""
