"""Fits the schedule of a config into another number of training steps."""
