"""Addresses of a cluster and the link that joins a node's network namespace with the machine.

All of it hangs on one veth pair: routes vanish with the link, the link with the namespace.
"""

from __future__ import annotations

import hashlib
import json
import socket
from dataclasses import dataclass
from ipaddress import IPv4Network, ip_network
from typing import TYPE_CHECKING

from localcluster.commands import output, succeeds
from localcluster.components import LOOPBACK, Ports
from localcluster.errors import ClusterError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

CANDIDATES = tuple(IPv4Network(f"10.{octet}.0.0/16") for octet in (231, 198, 167, 93))
PORT_BASES = range(26440, 32000, 10)
_reservations: list[socket.socket] = []
NODE_LINK = "eth0"


@dataclass(frozen=True)
class NodeNetwork:
    """A /16 split into pods, Services and the link to the machine."""

    block: IPv4Network
    host_link: str

    @property
    def pods(self) -> IPv4Network:
        """Addresses of pods."""
        return IPv4Network((self.block.network_address, 20))

    @property
    def services(self) -> IPv4Network:
        """Addresses of Services; the first is that of the API server."""
        return IPv4Network((self.block.network_address + (64 << 8), 20))

    @property
    def link(self) -> IPv4Network:
        """The two addresses of the link."""
        return IPv4Network((self.block.network_address + (255 << 8), 30))

    @property
    def host(self) -> str:
        """The machine's end of the link."""
        return str(self.link.network_address + 1)

    @property
    def node(self) -> str:
        """The node's end of the link: its address in the cluster."""
        return str(self.link.network_address + 2)


def choose_network(cache: Path, routes: Iterable[str]) -> NodeNetwork:
    """The first block that overlaps none of the machine's routes.

    The link is named after the cache directory, so that clusters of two caches do not collide.

    Raises:
        ClusterError: all blocks are in use.
    """
    used = [ip_network(route, strict=False) for route in routes if route != "default"]
    for block in CANDIDATES:
        if not any(block.overlaps(other) for other in used if isinstance(other, IPv4Network)):
            return NodeNetwork(block, f"tjnode-{unique_suffix(cache)}")
    tried = ", ".join(str(block) for block in CANDIDATES)
    raise ClusterError(f"no free private network for the cluster: the machine routes {tried}")


def unique_suffix(cache: Path) -> str:
    """A few letters that differ between cache directories."""
    return hashlib.sha256(str(cache).encode()).hexdigest()[:6]


def machine_routes() -> list[str]:
    """Destinations of the machine's IPv4 routes."""
    return [route["dst"] for route in json.loads(output(["ip", "-4", "-json", "route"]))]


def connect(network: NodeNetwork, pid: int) -> None:
    """Make the link into the network namespace of process ``pid`` and the routes over it."""
    link = network.host_link
    output(
        ["ip", "link", "add", link, "type", "veth", "peer", "name", NODE_LINK, "netns", str(pid)]
    )
    prefix = network.link.prefixlen
    output(["ip", "address", "add", f"{network.host}/{prefix}", "dev", link])
    output(["ip", "link", "set", link, "up"])
    for destination in (network.pods, network.services):
        output(["ip", "route", "add", str(destination), "via", network.node, "dev", link])


def node_setup(network: NodeNetwork) -> tuple[tuple[str, ...], ...]:
    """Commands for inside the namespace, once the link is there."""
    prefix = network.link.prefixlen
    return (
        ("ip", "link", "set", "lo", "up"),
        ("ip", "address", "add", f"{network.node}/{prefix}", "dev", NODE_LINK),
        ("ip", "link", "set", NODE_LINK, "up"),
        ("ip", "route", "add", "default", "via", network.host),
        ("sh", "-c", "echo 1 > /proc/sys/net/ipv4/ip_forward"),
    )


def disconnect(host_link: str) -> None:
    """Remove the link where it is left over; its routes go with it."""
    delete = ["ip", "link", "delete", "dev", host_link]
    # The kernel may remove it at the same time, a moment after the last process of its namespace.
    if not succeeds(delete) and succeeds(["ip", "link", "show", "dev", host_link]):
        output(delete)


def choose_ports(is_free: Callable[[int], bool], reserve: Callable[[int], bool]) -> Ports:
    """The first row of ports that are all free, and that nobody else has just chosen.

    Raises:
        ClusterError: there is none.
    """
    for base in PORT_BASES:
        if reserve(base) and all(is_free(port) for port in range(base, base + 6)):
            return Ports.starting_at(base)
    raise ClusterError(f"no six free ports in a row from {PORT_BASES.start}")


def reserve(base: int) -> bool:
    """Whether no other process has this row; this one has it now, until it ends.

    From the choice to the servers that listen there are seconds, in which another cluster may be
    started. The kernel frees the name when its owner dies.
    """
    guard = socket.socket(socket.AF_UNIX)
    try:
        guard.bind(f"\0trainingjob-localcluster-ports-{base}")
    except OSError:
        guard.close()
        return False
    _reservations.append(guard)
    return True


def is_free(port: int) -> bool:
    """Whether a server could listen on ``port`` of the loopback address."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((LOOPBACK, port))
        except OSError:
            return False
    return True
