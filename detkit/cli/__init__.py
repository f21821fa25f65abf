"""The command line: parsing of arguments, output and exit codes of each command."""
