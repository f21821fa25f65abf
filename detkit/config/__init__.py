"""Configs in mmdet's format: loaded, validated, completed and overridden."""
