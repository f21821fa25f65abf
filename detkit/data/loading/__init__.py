"""Steps of loading that detection and classification data share, from the path to the splits."""
