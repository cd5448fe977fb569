"""How the nodes of a job find each other."""

import logging
import socket
import time

_NAME_SECONDS = 60.0
_NAME_RETRY_SECONDS = 0.5

_logger = logging.getLogger(__name__)


def wait_for_name(host: str, within_seconds: float = _NAME_SECONDS) -> bool:
    """Wait until `host` resolves: the name of a pod appears some seconds after the pod."""
    deadline = time.monotonic() + within_seconds
    while True:
        try:
            socket.getaddrinfo(host, None)
        except socket.gaierror as error:
            if time.monotonic() >= deadline:
                _logger.warning("%s does not resolve: %s; torchrun will keep trying", host, error)
                return False
            time.sleep(_NAME_RETRY_SECONDS)
        else:
            return True
