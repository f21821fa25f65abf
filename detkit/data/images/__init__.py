"""Image files: finding by name, probing, opening within limits, and reading upright as RGB."""
