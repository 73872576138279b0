"""The perimeter lets nothing out but what it names, whatever a host is written like."""

from ipaddress import ip_address, ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.net.perimeter import Perimeter, is_destination, is_loopback, is_private

LABELS = st.from_regex(r"[a-z0-9](?:[a-z0-9-]{0,10}[a-z0-9])?", fullmatch=True)
NAMES = st.lists(LABELS, min_size=2, max_size=4).map(".".join).filter(lambda name: not name.replace(".", "").isdigit())
ADDRESSES = st.ip_addresses()
PORTS = st.integers(1, 65_535)


@pytest.mark.parametrize(
    "text",
    [
        *("api.openai.com", "API.OpenAI.com", "api.openai.com:443", "*.example.com", "*.example.com:8443", "gpu-box"),
        *("10.0.0.0/8", "10.1.2.3", "10.1.2.3:8000", "10.0.0.0/8:443", "::1", "fd00::/8", "[fd00::1]:443", "[::1]"),
        *("a_b.example.com", " api.openai.com ", "1.example"),
    ],
)
def test_hosts_addresses_and_networks_can_be_named(text: str) -> None:
    """With or without a port."""
    assert is_destination(text)


@pytest.mark.parametrize(
    "text",
    [
        *("", " ", "*", "*.", "a.*.b", "**.a", "https://a.example", "a.example/v1", "a b", "a,b", "user@a.example"),
        *(
            "-a.example",
            "a-.example",
            "a..example",
            "a.example.",
            ".a.example",
            "a" * 64 + ".example",
            "a." * 130 + "a",
        ),
        *("a.example:", "a.example:0", "a.example:65536", "a.example:x", "a.example:1:2", "[::1", "[::1]x", "[::1]:"),
        *("10.0.0.1/8", "10.0.0.256", "1.2.3", "10.0.0.0/33", "bücher.example", "\u212aey.example", "a.example:\u0661"),
    ],
)
def test_what_names_no_host_is_refused(text: str) -> None:
    """A rule that would never match, or match something else than meant, is a problem of the config."""
    assert not is_destination(text)


def test_without_a_perimeter_everything_is_inside() -> None:
    """None is no perimeter; an empty one is the strictest."""
    assert Perimeter(None).allows("anything.example", 1)
    assert Perimeter(None).allows_url("https://anything.example")
    assert not Perimeter([]).allows("anything.example", 443)


@pytest.mark.parametrize(
    "host", ["localhost", "LOCALHOST", "127.0.0.1", "127.255.0.9", "::1", "[::1]", "::ffff:127.0.0.1"]
)
def test_this_machine_is_never_outside(host: str) -> None:
    """However loopback is written."""
    assert is_loopback(host)
    assert Perimeter([]).allows(host, 11434)


@pytest.mark.parametrize(
    "host",
    [
        *(
            "localhost.example.com",
            "127.0.0.1.example.com",
            "localhost.",
            "a.localhost",
            "127.1",
            "0x7f000001",
            "2130706433",
        ),
        *("0177.0.0.1", "0.0.0.0", "::", "128.0.0.1", "::ffff:8.8.8.8", "", "127.0.0.1 ", "127.0.0.1%eth0", "loopback"),
    ],
)
def test_what_only_looks_like_this_machine_is_outside(host: str) -> None:
    """Another notation, a name that a resolver could answer as it likes, an address of all interfaces."""
    assert not Perimeter([]).allows(host, 80)


@pytest.mark.parametrize(
    ("rule", "host", "port", "is_inside"),
    [
        ("api.openai.com", "api.openai.com", 443, True),
        ("api.openai.com", "API.OPENAI.COM.", 80, True),
        ("api.openai.com", "eu.api.openai.com", 443, False),
        ("api.openai.com", "xapi.openai.com", 443, False),
        ("api.openai.com", "api.openai.com.evil.example", 443, False),
        ("api.openai.com", "api-openai.com", 443, False),
        ("api.openai.com:443", "api.openai.com", 443, True),
        ("api.openai.com:443", "api.openai.com", 8443, False),
        ("*.example.com", "a.example.com", 443, True),
        ("*.example.com", "a.b.example.com", 443, True),
        ("*.example.com", "example.com", 443, False),
        ("*.example.com", ".example.com", 443, False),
        ("*.example.com", "aexample.com", 443, False),
        ("*.example.com:8443", "a.example.com", 443, False),
        ("10.0.0.0/8", "10.9.8.7", 5, True),
        ("10.0.0.0/8", "11.0.0.1", 5, False),
        ("10.0.0.0/8", "::ffff:10.1.1.1", 5, True),
        ("10.0.0.0/8", "10.0.0.1.example.com", 5, False),
        ("10.0.0.0/8", "gpu.internal", 5, False),
        ("fd00::/8", "[fd12::1]", 443, True),
        ("fd00::/8", "fd12::1%eth0", 443, True),
        ("::/0", "::ffff:8.8.8.8", 443, False),
        ("192.0.2.7:8000", "192.0.2.7", 8000, True),
        ("192.0.2.7:8000", "192.0.2.7", 8001, False),
    ],
)
def test_a_rule_reaches_what_it_says_and_no_further(rule: str, host: str, port: int, is_inside: bool) -> None:
    """A name is that name, `*.` is everything below a domain, a network holds addresses and never names."""
    assert Perimeter([rule]).allows(host, port) is is_inside


@pytest.mark.parametrize(
    ("url", "is_inside"),
    [
        ("https://a.example/v1", True),
        ("https://a.example:443/v1", True),
        ("wss://a.example/socket", True),
        ("http://a.example/", False),
        ("ws://a.example/", False),
        ("https://a.example:8443/", False),
        ("https://a.example:0/", False),
        ("https://a.example:99999/", False),
        ("https://a.example@b.example/", False),
        ("https://b.example#@a.example/", False),
        ("https://[a.example/", False),
        ("a.example", False),
        ("", False),
        ("http://127.0.0.1:9/", True),
    ],
)
def test_an_address_is_judged_by_its_host_and_port(url: str, is_inside: bool) -> None:
    """The port that the scheme means counts; an address that is none is outside, and never an error."""
    assert Perimeter(["a.example:443"]).allows_url(url) is is_inside


@given(st.text(max_size=40))
def test_an_empty_perimeter_lets_out_nothing_but_loopback(host: str) -> None:
    """Whatever is asked for."""
    assert Perimeter([]).allows(host, 443) == is_loopback(host)


@given(NAMES, NAMES, PORTS, PORTS)
def test_a_name_allows_itself_alone(rule: str, host: str, port: int, other: int) -> None:
    """At any port, or at its own."""
    assert is_destination(rule)
    assert Perimeter([rule]).allows(host, port) == (host == rule)
    assert Perimeter([rule]).allows(rule.upper(), port)
    assert Perimeter([f"{rule}:{port}"]).allows(rule, other) == (port == other)


@given(NAMES, NAMES)
def test_a_star_allows_everything_below_and_not_the_domain_itself(domain: str, below: str) -> None:
    """By whole labels."""
    perimeter = Perimeter([f"*.{domain}"])
    assert perimeter.allows(f"{below}.{domain}", 443)
    assert not perimeter.allows(domain, 443)
    assert not perimeter.allows(f"x{domain}", 443)


@given(ADDRESSES, st.integers(0, 32), ADDRESSES)
def test_a_network_allows_its_addresses_alone(base: object, prefix: int, host: object) -> None:
    """As the standard library counts them, with IPv4 in IPv6 clothes taken for IPv4."""
    network = ip_network(f"{base}/{prefix}", strict=False)
    address = ip_address(str(host))
    plain = getattr(address, "ipv4_mapped", None) or address
    assert Perimeter([str(network)]).allows(str(host), 1) == (plain in network or plain.is_loopback)


@given(st.lists(st.text(max_size=30), max_size=5), st.text(max_size=30), PORTS)
def test_more_rules_never_let_out_less(rules: list[str], host: str, port: int) -> None:
    """A rule only adds, and one that names no host adds nothing."""
    for count in range(len(rules)):
        if Perimeter(rules[:count]).allows(host, port):
            assert Perimeter(rules).allows(host, port)
    if not any(map(is_destination, rules)):
        assert Perimeter(rules).allows(host, port) == is_loopback(host)


@given(st.text(max_size=60))
def test_no_address_is_an_error(text: str) -> None:
    """Outside or inside, but never an exception in the middle of a call."""
    for url in (text, f"https://{text}", f"https://a.example:{text}"):
        assert Perimeter(["a.example"]).allows_url(url) in (True, False)


@pytest.mark.parametrize(
    ("host", "is_ours"),
    [
        *(
            (host, True)
            for host in ("10.0.0.1", "192.168.1.1", "100.64.0.1", "127.0.0.1", "fd00::1", "::1", "169.254.1.1")
        ),
        *(
            (host, True)
            for host in ("gpu-box", "localhost", "llm.internal", "nas.local", "a.home.arpa", "x.localhost.")
        ),
        *((host, False) for host in ("8.8.8.8", "2606:4700::1111", "api.openai.com", "internal.example", "local.com")),
    ],
)
def test_private_is_what_the_internet_cannot_be(host: str, is_ours: bool) -> None:
    """Only certain cases count: any other name may lead anywhere."""
    assert is_private(host) is is_ours
