"""Hooks of the runner."""
