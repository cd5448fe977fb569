"""The HTTP server of the metrics, on all addresses of the pod, IPv4 and IPv6."""

import socket
from socketserver import TCPServer, ThreadingMixIn
from threading import Thread
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer

from prometheus_client import CollectorRegistry, make_wsgi_app


class MetricsServer(ThreadingMixIn, WSGIServer):
    """Answers each scrape in a thread of its own.

    One socket serves both families, where the kernel has IPv6: a cluster may have either or both.
    """

    daemon_threads = True

    def __init__(self, port: int, registry: CollectorRegistry) -> None:
        """Listen.

        Raises:
            OSError: the port is taken.
        """
        both = socket.has_dualstack_ipv6()
        self.address_family = socket.AF_INET6 if both else socket.AF_INET
        super().__init__(("::" if both else "", port), _Quiet)
        self.set_app(make_wsgi_app(registry))
        self._thread = Thread(target=self.serve_forever, name="metrics", daemon=True)

    def server_bind(self) -> None:
        """Bind without a look-up of the host's name, which waits for a DNS that is away."""
        if self.address_family == socket.AF_INET6:
            self.socket.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        TCPServer.server_bind(self)
        self.server_name, self.server_port = "", self.server_address[1]
        self.setup_environ()

    def start(self) -> None:
        """Serve in a thread."""
        self._thread.start()

    def stop(self) -> None:
        """Close the port."""
        self.shutdown()
        self.server_close()
        self._thread.join()


class _Quiet(WSGIRequestHandler):
    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the name is inherited
        """Log no requests."""
