"""Detections and labels drawn on images."""
