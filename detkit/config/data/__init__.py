"""Data in a config: the user's own put into it, and the data that it names checked."""
