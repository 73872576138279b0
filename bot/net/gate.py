"""Who connects: the client's address behind proxies, and how many connections one client may hold."""

from collections.abc import Iterable, Sequence
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address, ip_network

IpAddress = IPv4Address | IPv6Address


class Proxies:
    """The networks whose word on the client's address is taken."""

    def __init__(self, networks: Iterable[str]) -> None:
        self._networks = tuple(ip_network(network, strict=False) for network in networks)

    def __bool__(self) -> bool:
        return bool(self._networks)

    def __contains__(self, address: IpAddress | None) -> bool:
        return address is not None and any(address in network for network in self._networks)

    def client(self, peer: str, forwarded: Sequence[str]) -> str:
        """The client's address: the peer's own, unless that is a proxy; then the nearest address that is none. What stands
        further left in `X-Forwarded-For` was written by the client and counts for nothing."""
        client = peer
        hops = [hop.strip() for line in forwarded for hop in line.split(",")]
        while parsed(client) in self and hops:
            hop = parsed(hops.pop())
            if hop is None:
                break
            client = str(hop)
        return client


def parsed(text: str) -> IpAddress | None:
    """An address without port, an IPv4 address inside IPv6 as itself; None for what is none."""
    try:
        address = ip_address(text.partition("%")[0])
    except ValueError:
        return None
    return (address.ipv4_mapped or address) if isinstance(address, IPv6Address) else address


class Gate:
    """Counts connections, in all and by client."""

    def __init__(self, most: int, most_by_client: int) -> None:
        self._most = most
        self._most_by_client = most_by_client
        self._by_client: dict[str, int] = {}
        self.total = 0

    def admit(self) -> bool:
        """Counts one connection, unless there are too many."""
        if self.total >= self._most:
            return False
        self.total += 1
        return True

    def release(self) -> None:
        self.total -= 1

    def admit_client(self, client: str) -> bool:
        """Counts one connection of `client`, a value of `counted`, unless it has too many."""
        count = self._by_client.get(client, 0)
        if count >= self._most_by_client:
            return False
        self._by_client[client] = count + 1
        return True

    def release_client(self, client: str) -> None:
        count = self._by_client[client] - 1
        if count:
            self._by_client[client] = count
        else:
            del self._by_client[client]


def counted(address: str) -> str:
    """What an address is counted under."""
    client = parsed(address)
    if isinstance(client, IPv6Address):
        return str(IPv6Network((client, 64), strict=False))
    return str(client or address)
