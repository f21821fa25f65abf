"""The Pascal VOC annotation format."""
