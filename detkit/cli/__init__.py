"""The commands. Argument parsing lives here; tools/ and the ``detkit`` command call it."""
