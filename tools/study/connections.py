"""A waitress server that one address cannot take for itself, by many connections or by slow ones.

When an address has as many connections as it may have, its oldest idle one is closed for a new one; a browser then
opens another without an error. So readers behind one NAT, who share an address, can all go on reading, and connections
held from one address take none away from the others.
"""

from __future__ import annotations

import ipaddress
import time
from collections.abc import Callable
from socket import socket
from typing import Any

from waitress.channel import HTTPChannel
from waitress.server import BaseWSGIServer, MultiSocketServer, create_server

REQUEST_S = 30
"""How long a request may take to arrive, in seconds from its first byte."""

IDLE_S = 60
"""How long a connection may be silent, in seconds."""

CLEANUP_S = 5
"""How often connections are looked at, in seconds."""


class Channel(HTTPChannel):
    """A connection that knows since when a request is arriving."""

    arriving_since: float | None = None

    def received(self, data: bytes) -> bool:
        """Receive data as waitress does; the time runs from a request's first byte to its last."""
        found = super().received(data)
        if self.request is None:
            self.arriving_since = None
        elif self.arriving_since is None:
            self.arriving_since = time.time()
        return found

    @property
    def waits(self) -> bool:
        """Whether nothing is lost by closing it: no request is whole, and no answer is on its way."""
        return not (self.requests or self.total_outbufs_len or self.will_close)


def limited_server(app: Callable, of_one: int | None, **options: Any) -> BaseWSGIServer | MultiSocketServer:
    """A server that listens and is not running yet.

    Args:
        app: the application.
        of_one: connections that an address may have; None for any number. A network /64 of IPv6 is one address.
        options: options of waitress.
    """
    server = create_server(app, channel_timeout=IDLE_S, cleanup_interval=CLEANUP_S, **options)
    for one in server.map.values() if isinstance(server, MultiSocketServer) else [server]:
        if isinstance(one, BaseWSGIServer):
            _limit(one, of_one)
    return server


def _limit(server: BaseWSGIServer, of_one: int | None) -> None:
    def connected(_: BaseWSGIServer, connection: socket, address: tuple, adjustments: Any, map: dict) -> None:
        if of_one is not None and not _room(server, _origin(address), of_one):
            connection.close()
            return
        Channel(server, connection, address, adjustments, map=map)

    def maintenance(now: float) -> None:
        BaseWSGIServer.maintenance(server, now)
        for channel in server.active_channels.values():
            if channel.arriving_since is not None and channel.arriving_since < now - REQUEST_S:
                channel.will_close = True

    server.channel_class, server.maintenance = connected, maintenance


def _room(server: BaseWSGIServer, origin: str, of_one: int) -> bool:
    """Return whether an origin may have one more connection, if need be in place of one that waits for nothing."""
    own = [c for c in server.active_channels.values() if _origin(c.addr) == origin and not c.will_close]
    if len(own) < of_one:
        return True
    oldest = min((channel for channel in own if channel.waits), key=lambda c: c.last_activity, default=None)
    if oldest is None:
        return False
    oldest.handle_close()
    return True


def _origin(address: tuple) -> str:
    """Return who is counted as one: an IPv4 address, or an IPv6 network of 64 bits, of which a single host has all."""
    host = ipaddress.ip_address(address[0].split("%")[0])
    host = getattr(host, "ipv4_mapped", None) or host
    return str(host if host.version == 4 else ipaddress.ip_network(f"{host}/64", strict=False))
