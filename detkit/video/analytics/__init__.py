"""What follows from detections over time: tracks, counts, smoothed labels."""
