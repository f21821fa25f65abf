"""Configs in mmdet's dialect: loaded, validated, completed, and changed by the command line."""
