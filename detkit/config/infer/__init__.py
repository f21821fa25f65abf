"""Fields of a config that follow from the data or the backbone: inferred, or compared."""
