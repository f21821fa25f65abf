"""Classification data: loaded, checked, and split."""
