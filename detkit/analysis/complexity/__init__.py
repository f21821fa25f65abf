"""Parameters and multiply-adds of a config's model, by module."""
