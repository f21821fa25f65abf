"""Limits of connections to the page: their number, and how long one may be idle."""

from __future__ import annotations

import asyncio
import socket
from typing import Any

from uvicorn.protocols.http.h11_impl import H11Protocol

MAX_CONNECTIONS = 250
HEADER_TIMEOUT_SECONDS = 15.0  # from the first byte or the connection to complete headers
UNREAD_TIMEOUT_MS = 120_000  # until a response must be read


class PageProtocol(H11Protocol):
    """Closes connections that send no complete request, or do not read the response.

    Uvicorn waits forever for the first byte and for the rest of the headers.
    """

    _deadline: asyncio.TimerHandle | None = None

    def connection_made(self, transport: Any) -> None:
        """Accept a connection, unless there are too many."""
        super().connection_made(transport)
        if len(self.connections) > MAX_CONNECTIONS:
            transport.abort()
            return
        option = getattr(socket, "TCP_USER_TIMEOUT", None)  # Linux
        if option is not None:
            transport.get_extra_info("socket").setsockopt(
                socket.IPPROTO_TCP, option, UNREAD_TIMEOUT_MS)
        self._deadline = self.loop.call_later(HEADER_TIMEOUT_SECONDS, transport.abort)

    def data_received(self, data: bytes) -> None:
        """Receive data; headers must be complete before the timeout."""
        super().data_received(data)
        self._update_deadline(started=True)

    def on_response_complete(self) -> None:
        """Continue with the next request, of which a part may already be received."""
        super().on_response_complete()
        self._update_deadline(started=bool(self.conn.trailing_data[0]))

    def connection_lost(self, exc: Exception | None) -> None:
        """Cancel the timeout of the connection."""
        self._end_deadline()
        super().connection_lost(exc)

    def _update_deadline(self, started: bool) -> None:
        if self.cycle is not None and not self.cycle.response_complete:
            self._end_deadline()
        elif started and self._deadline is None and not self.transport.is_closing():
            self._deadline = self.loop.call_later(HEADER_TIMEOUT_SECONDS, self.transport.abort)

    def _end_deadline(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None
