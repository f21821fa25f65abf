"""List the configs that come with detkit, by the names that train, test and complexity take."""

from __future__ import annotations

import argparse

EXAMPLES = """examples:
  detkit configs
  detkit configs lite            # those with 'lite' in their name
  detkit configs quickstart      # its header in full, and its file
  detkit configs quickstart --full    # all its values, as one config file
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of ``detkit configs``."""
    parser.add_argument("name", metavar="NAME", nargs="?",
                        help="a config to show in full, or a part of the names to list (default: "
                        "list all)")
    parser.add_argument("--full", action="store_true",
                        help="print all values of the config NAME, with those of its base files, "
                        "as one config file")


def run(args: argparse.Namespace) -> int:
    """Print the list, or one config."""
    from detkit.config.find_config import list_configs
    from detkit.errors import ConfigError
    from detkit.text import closest_name

    entries = list_configs()
    if not entries:
        raise ConfigError("detkit was installed without its configs",
                          hint="install it from its wheel or from a checkout")
    exact = next((entry for entry in entries if entry.name == args.name), None)
    if args.full and exact is None:
        raise ConfigError(f"--full: no config has the name '{args.name or ''}'",
                          expected="one of those that 'detkit configs' lists")
    if args.full:
        from detkit.config.load_config import load_config

        print(load_config(exact.path).pretty_text, end="")  # type: ignore[union-attr]
    elif exact is not None:
        print(f"{exact.header}\n\nFile:     {exact.path}")
    else:
        listed = [entry for entry in entries if (args.name or "").lower() in entry.name]
        if not listed:
            close = closest_name(args.name, [entry.name for entry in entries])
            raise ConfigError(f"no config has '{args.name}' in its name",
                              hint=f"did you mean '{close}'?" if close else
                              "detkit configs lists them")
        width = max(len(entry.name) for entry in listed)
        for entry in listed:
            print(f"{entry.name:<{width}}  {entry.summary}")
    return 0
