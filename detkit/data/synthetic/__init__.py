"""The built-in sample: a data set and a video that are drawn on the spot."""
