"""From a service to an open port: bound first, so that a taken one is an error in words, then served until Ctrl-C."""

from __future__ import annotations

import errno
import ipaddress
import socket
from types import FrameType

import uvicorn

from relax.app.server import Server
from relax.app.service import Service

FAREWELL = 2  # seconds for open requests to end
CONNECTIONS = 200  # at once


def bound(host: str, port: int) -> socket.socket:
    """A listening socket.

    Raises:
        OSError: With the reason and the way out.
    """
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    except (socket.gaierror, UnicodeError):
        raise OSError(f"--host {host} is no name or address of this machine: 127.0.0.1 is this machine alone") from None
    listener = socket.socket(family, kind, protocol)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
        listener.listen(CONNECTIONS)
    except OSError as error:
        listener.close()
        if error.errno == errno.EADDRINUSE:
            reason = f"--port {port} is taken: choose another, or --port 0 for any free one"
        elif error.errno == errno.EACCES:
            reason = f"--port {port} may not be used without special rights: choose one above 1023"
        else:
            reason = f"--host {host} cannot be listened on: {error.strerror}"
        raise OSError(reason) from None
    return listener


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach it."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def address_of(listener: socket.socket, host: str) -> str:
    """What to type into a browser."""
    name = f"[{host}]" if ":" in host else host
    return f"http://{name}:{listener.getsockname()[1]}/"


class Stopping(uvicorn.Server):
    """A server that ends what runs, too, when it is asked to end, so that no request keeps it waiting."""

    def __init__(self, service: Service, host: str) -> None:
        hosts = ["localhost", "127.0.0.1", "[::1]", host] if is_loopback(host) else ["*"]
        config = uvicorn.Config(
            Server(service).app(hosts),
            access_log=False,  # addresses are nobody's business
            log_level="critical",  # errors are told to the visitor, and to the operator by --debug
            lifespan="on",
            limit_concurrency=CONNECTIONS,
            timeout_graceful_shutdown=FAREWELL,
            server_header=False,
            ws="none",
        )
        super().__init__(config)
        self.service = service

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """On Ctrl-C and SIGTERM."""
        self.service.stop()
        super().handle_exit(sig, frame)


def serve(service: Service, host: str, listener: socket.socket) -> None:
    """Serve until Ctrl-C or SIGTERM, which are raised again afterwards."""
    Stopping(service, host).run(sockets=[listener])
