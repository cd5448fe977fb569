"""The HTTP proxy for a server, from the environment variables that programs agree on."""

import ipaddress
import urllib.request
from urllib.parse import urlsplit


def environment_proxy(url: str) -> str | None:
    """The proxy of HTTP_PROXY or HTTPS_PROXY for a URL, None where NO_PROXY excepts its host.

    NO_PROXY may have networks such as 10.0.0.0/8, too, as Go programs take it: in a pod the API
    server's host is an address of the Services' network.

    Read once for each server: aiohttp itself would read the environment and ~/.netrc in a thread
    at every request, which cost a quarter of the operator's CPU time.
    """
    address = urlsplit(url)
    host, proxies = address.hostname or "", urllib.request.getproxies()
    if urllib.request.proxy_bypass(host) or _in_network(host, proxies.get("no", "")):
        return None
    return proxies.get(address.scheme)


def _in_network(host: str, excepted: str) -> bool:
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return False
    networks = (network for entry in excepted.split(",") if (network := _network(entry.strip())))
    return any(address in network for network in networks)


def _network(entry: str) -> ipaddress.IPv4Network | ipaddress.IPv6Network | None:
    try:
        return ipaddress.ip_network(entry, strict=False) if "/" in entry else None
    except ValueError:
        return None
