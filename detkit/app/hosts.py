"""Which Host and Origin headers the page answers to.

A web page from elsewhere reaches a server on this machine in two ways: by having its own name
resolve to 127.0.0.1 (DNS rebinding), which the Host header shows, and by a request from its own
origin to ours, which Origin and Sec-Fetch-Site show.
"""

from __future__ import annotations

import argparse
import ipaddress
import re
import socket
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

HOST_PATTERN = re.compile(r"(\[[0-9a-f:.]+\]|[a-z0-9._-]+)(?::([0-9]{1,5}))?")


@dataclass(frozen=True)
class AllowedHosts:
    """The values of the Host header that are answered.

    Args:
        exact: hosts with their port, as '127.0.0.1:7860'.
        names: host names that are allowed at any port, as behind a proxy.
        any_ip_address: whether every IP address is allowed at any port. DNS rebinding needs a name,
            so an address is safe; forwarded ports and containers make it differ from our own.
    """

    exact: frozenset[str]
    names: frozenset[str] = frozenset()
    any_ip_address: bool = False

    def is_allowed(self, host: str) -> bool:
        """Whether a request with this Host header is answered."""
        match = HOST_PATTERN.fullmatch(host.lower())
        if match is None:
            return False
        name, port = match.groups()
        return f"{name}:{port or 80}" in self.exact or name in self.names \
            or self.any_ip_address and _is_ip_address(name)

    def is_same_origin(self, headers: Mapping[str, str], is_navigation: bool) -> bool:
        """Whether a request comes from the page itself, or from the user's own hand.

        Args:
            headers: with names in lower case.
            is_navigation: whether it may be a link on another site that leads to the page.
        """
        origin = headers.get("origin")
        if origin is not None:
            scheme, _, rest = origin.lower().partition("://")
            if scheme not in ("http", "https") or rest != headers.get("host", "").lower():
                return False
        site = headers.get("sec-fetch-site", "none")
        return site in ("same-origin", "none") \
            or is_navigation and headers.get("sec-fetch-mode") == "navigate" \
            and headers.get("sec-fetch-dest") == "document"


def allowed_hosts(listen_socket: socket.socket, host: str,
                  extra_hosts: Sequence[str] = ()) -> AllowedHosts:
    """The hosts of a page that listens on a socket.

    On loopback these are its own address, 127.0.0.1, localhost and [::1] with the port. On
    another address these are every IP address, localhost and this machine's name.

    Args:
        listen_socket: the socket.
        host: what the user gave as --host.
        extra_hosts: further ones, as `host_name` gives them.
    """
    address, port = listen_socket.getsockname()[:2]
    extra = frozenset(name.lower() for name in extra_hosts)
    exact = frozenset(name for name in extra if re.search(r":[0-9]+$", name))
    if is_loopback(address):
        local_names = {
            "127.0.0.1", "localhost", "[::1]", f"[{address}]" if ":" in address else address
        }
        return AllowedHosts(exact | {f"{name}:{port}" for name in local_names}, extra - exact)
    hostname = socket.gethostname().lower()
    local_names = {
        "localhost", hostname,
        hostname.partition(".")[0], f"{hostname}.local",
        host.lower()
    }
    return AllowedHosts(exact, extra - exact | local_names, any_ip_address=True)


def is_loopback(address: str) -> bool:
    """Whether only this machine reaches an IP address."""
    return ipaddress.ip_address(address).is_loopback


def host_name(text: str) -> str:
    """A host, with a port or without, for argparse."""
    if HOST_PATTERN.fullmatch(text.lower()) is None:
        raise argparse.ArgumentTypeError(
            f"got {text}, expected a host as in 'gpu.example.org' or 'localhost:8080'")
    return text


def _is_ip_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name.strip("[]"))
    except ValueError:
        return False
    return True
