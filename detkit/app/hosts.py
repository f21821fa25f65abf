"""Checks the Host and Origin headers of requests.

Another web page can reach a server on this machine in two ways: its own name resolves to 127.0.0.1
(DNS rebinding), which the Host header shows, or it sends a cross-origin request, which Origin and
Sec-Fetch-Site show.
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
    """The allowed values of the Host header.

    Args:
        exact: hosts with a port, such as '127.0.0.1:7860'.
        names: host names that are allowed with any port, such as that of a proxy.
        any_ip_address: whether every IP address is allowed with any port. DNS rebinding needs a
            name, so IP addresses are safe; with forwarded ports and containers they differ from
            the address of the server.
    """

    exact: frozenset[str]
    names: frozenset[str] = frozenset()
    any_ip_address: bool = False

    def is_allowed(self, host: str) -> bool:
        """Whether requests with this Host header are allowed."""
        match = HOST_PATTERN.fullmatch(host.lower())
        if match is None:
            return False
        name, port = match.groups()
        return f"{name}:{port or 80}" in self.exact or name in self.names \
            or self.any_ip_address and _is_ip_address(name)

    def is_same_origin(self, headers: Mapping[str, str], is_navigation: bool) -> bool:
        """Whether a request comes from the page itself or from the user.

        Args:
            headers: with lower-case names.
            is_navigation: whether it may also be a link to the page on another site.
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
    """The allowed hosts for a server on a socket.

    For loopback: its address, 127.0.0.1, localhost and [::1] with the port. For other addresses:
    every IP address, localhost and the name of this machine.

    Args:
        listen_socket: the socket.
        host: the value of --host.
        extra_hosts: more hosts, as `host_name` returns them.
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
    """Whether an IP address is reachable from this machine only."""
    return ipaddress.ip_address(address).is_loopback


def host_name(text: str) -> str:
    """A host with an optional port; a type for argparse."""
    if HOST_PATTERN.fullmatch(text.lower()) is None:
        raise argparse.ArgumentTypeError(
            f"got {text}, expected a host such as 'gpu.example.org' or 'localhost:8080'")
    return text


def _is_ip_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name.strip("[]"))
    except ValueError:
        return False
    return True
