"""Annotators that draw detections and labels on images."""
