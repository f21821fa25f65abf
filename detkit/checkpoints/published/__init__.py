"""Published weights by name: the table, what libraries list, and the files."""
