"""Image files: found by name, probed, opened within limits, and read upright as RGB."""
