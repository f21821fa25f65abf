"""Predictions of the models, and the data sample of a classifier."""
