"""The COCO annotation format."""
