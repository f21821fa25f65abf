"""COCO's annotation format."""
