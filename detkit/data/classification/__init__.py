"""Classification data: loading, checks and splits."""
