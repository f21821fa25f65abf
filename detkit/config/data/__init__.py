"""The datasets of a config: replaced by ``--data``, or checked."""
