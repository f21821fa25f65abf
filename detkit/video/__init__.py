"""Video: the pipeline from reading to writing, analytics, and the tuning of the frame rate."""
