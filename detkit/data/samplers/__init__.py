"""Samplers of the training data."""
