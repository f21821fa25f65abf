"""Analytics over time: tracking, counting, smoothing of labels."""
