"""Pascal VOC's annotation format."""
