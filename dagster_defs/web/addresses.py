"""Addresses of the web servers of `r1 ui`, and the origins (scheme, name, port) that browsers may use for them.

A server that listens on one address is reached by that address, and on the loopback address also by `localhost`. A
server that listens on all addresses is reached by each address of this machine and by its host name. Behind a reverse
proxy, the origin of the proxy is added. All origins are known locally at the start and no name server is asked, so a
name that an attacker binds to one of the addresses (DNS rebinding) is never among them.
"""

import ipaddress
import re
import socket
from dataclasses import dataclass

from r1_pipeline.errors import R1Error, RequirementError

LOOPBACK = "127.0.0.1"
ORIGIN = re.compile(r"https?://([a-z0-9._-]+|\[[0-9a-f:.]+\])(:\d+)?")
FAMILIES = {4: socket.AF_INET, 6: socket.AF_INET6}


@dataclass(frozen=True)
class Address:
    """The address of one web server."""

    host: str
    """A name or an address of this machine; `0.0.0.0` and `::` listen on all addresses."""
    port: int
    public: str | None = None
    """The origin of the reverse proxy in front of the server, in the form of `public_origin`."""

    @property
    def is_exposed(self) -> bool:
        """True if other machines can reach the address."""
        return self.host != "localhost" and not ((ip := _ip(self.host)) and ip.is_loopback)

    @property
    def local(self) -> tuple[str, ...]:
        """The origins without a proxy, the one with the widest reach first."""
        return tuple(dict.fromkeys(_origin(f"http://{name}:{self.port}") for name in _names(self.host)))

    @property
    def origins(self) -> tuple[str, ...]:
        """All origins, the one to show to users first."""
        return (self.public, *self.local) if self.public else self.local

    def require_free(self) -> None:
        """Raises `RequirementError` if no server can listen on the address now."""
        try:
            family, kind, _, _, place = socket.getaddrinfo(self.host, self.port, type=socket.SOCK_STREAM)[0]
            with socket.socket(family, kind) as probe:
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # like the servers
                probe.bind(place)
        except OSError as error:
            where = f"{self.host}:{self.port}"
            raise RequirementError(
                f"cannot listen on {where}: {error.strerror}; choose another host or port"
            ) from error

    def answers(self) -> bool:
        """Returns True if a server accepts connections on the address."""
        try:
            with socket.create_connection((self.host, self.port), timeout=1):
                return True
        except OSError:
            return False


def public_origin(text: str) -> str:
    """Returns the origin in the form that browsers send: lower case, without the default port of the scheme.

    Raises `R1Error` for text that is not an origin.
    """
    import httpx

    try:
        origin = _origin(text)
        plain = str(httpx.URL(text)).rstrip("/").lower() == origin
    except httpx.InvalidURL:
        plain = False
    if not plain or not ORIGIN.fullmatch(origin):
        raise R1Error(f"{text!r} is not an origin; give scheme, host and port only, such as https://r1.example.org")
    return origin


def _origin(text: str) -> str:
    import httpx

    url = httpx.URL(text)
    return f"{url.scheme}://{url.netloc.decode('ascii').lower()}"


def _ip(host: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(host)
    except ValueError:
        return None


def _names(host: str) -> list[str]:
    """Returns the host names that a browser can show for the bound address."""
    ip = _ip(host)
    if ip is None:
        return [host]
    if ip.is_unspecified:
        return [
            *map(_literal, sorted(_own(ip.version), key=lambda each: each.is_loopback)),
            socket.gethostname(),
            "localhost",
        ]
    return [_literal(ip), "localhost"] if ip.is_loopback else [_literal(ip)]


def _own(version: int) -> list[ipaddress.IPv4Address | ipaddress.IPv6Address]:
    """Returns this machine's addresses without those with a zone (`fe80::1%eth0`), which no browser can name."""
    import psutil

    every = (each for interface in psutil.net_if_addrs().values() for each in interface)
    return [
        ipaddress.ip_address(each.address)
        for each in every
        if each.family == FAMILIES[version] and "%" not in each.address
    ]


def _literal(ip: ipaddress.IPv4Address | ipaddress.IPv6Address) -> str:
    return f"[{ip.compressed}]" if ip.version == 6 else str(ip)
