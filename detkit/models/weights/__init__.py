"""Weights of other projects into our models: converted, then loaded all or not at all."""
