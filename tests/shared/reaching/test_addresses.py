"""Which addresses may be contacted: every range of the threat model, in every spelling."""

import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runwatch_shared.reaching.addresses import (
    INSIDE,
    METADATA,
    NOWHERE,
    Allowed,
    host_name,
    is_denied,
    literal,
)

NOBODY = Allowed()
DENIED = [
    *("0.0.0.0", "0.1.2.3", "10.0.0.1", "100.64.0.1", "127.0.0.1", "127.255.255.255"),
    *("169.254.169.254", "172.16.0.1", "172.31.255.255", "192.0.0.8", "192.0.2.1", "192.88.99.1"),
    *("192.168.1.1", "198.18.0.1", "198.51.100.7", "203.0.113.7", "224.0.0.1", "239.1.1.1"),
    *("240.0.0.1", "255.255.255.255", "100.100.100.200"),
    *("::", "::1", "::ffff:127.0.0.1", "::ffff:10.0.0.1", "::ffff:169.254.169.254", "::127.0.0.1"),
    *("64:ff9b::7f00:1", "64:ff9b::808:808", "64:ff9b:1::1", "2002:7f00:1::", "2002:a00:1::1"),
    *("2001::1", "2001:0:4136:e378:8000:63bf:3fff:fdd2", "2001:db8::1", "2001:20::1", "100::1"),
    *("fc00::1", "fd00::1", "fd12:3456::1", "fd00:ec2::254", "fe80::1", "fec0::1", "ff02::1"),
    *("3fff::1", "5f00::1", "2600::5efe:a00:1", "2600::200:5efe:7f00:1"),
]
GLOBAL = ["8.8.8.8", "1.1.1.1", "93.184.216.34", "::ffff:8.8.8.8", "2606:4700::1111", "2600::1"]
SPELLINGS = [
    *("2130706433", "0x7f000001", "0x7f.0.0.1", "0177.0.0.1", "017700000001", "127.1", "127.0.1"),
    *("127.0.0.1.", "0x7F.0x0.0x0.0x1", "[::1]", "::1", "[::ffff:127.0.0.1]", "::ffff:7f00:1"),
    *("0", "0x0", "2852039166", "0xa9fea9fe", "0251.0376.0251.0376", "169.254.43518"),
]


@pytest.mark.parametrize("text", DENIED)
def test_what_leads_inside_or_nowhere_is_denied(text: str) -> None:
    assert is_denied(ipaddress.ip_address(text), NOBODY)


@pytest.mark.parametrize("text", GLOBAL)
def test_what_is_outside_is_not(text: str) -> None:
    assert not is_denied(ipaddress.ip_address(text), NOBODY)


@pytest.mark.parametrize("text", SPELLINGS)
def test_a_spelling_of_an_address_is_that_address(text: str) -> None:
    address = literal(text)
    assert address is not None
    assert is_denied(address, NOBODY)


@pytest.mark.parametrize("text", ["example.com", "127.0.0.1.example.com", "a", "1.2.3.4.5", "0x"])
def test_a_name_is_no_address(text: str) -> None:
    assert literal(text) is None


@pytest.mark.parametrize("text", ["10.1.2.3", "192.168.0.9", "172.20.0.1", "fd00::7", "100.64.1.1"])
def test_a_proxy_may_be_inside(text: str) -> None:
    assert not is_denied(ipaddress.ip_address(text), NOBODY, inside=True)


@pytest.mark.parametrize(
    "text",
    [
        "127.0.0.1",
        "::1",
        "169.254.169.254",
        "fd00:ec2::254",
        "100.100.100.200",
        "224.0.0.1",
        "fe80::1",
    ],
)
def test_but_not_on_this_machine_its_link_or_a_clouds_service(text: str) -> None:
    assert is_denied(ipaddress.ip_address(text), NOBODY, inside=True)


def test_what_is_allowed_is_allowed_and_no_more() -> None:
    allowed = Allowed.of(["10.0.0.0/8", "127.0.0.1", "[fd00::1]", "Proxy.Example.", "64:ff9b::/96"])
    for text in ("10.9.9.9", "127.0.0.1", "::ffff:127.0.0.1", "fd00::1", "64:ff9b::808:808"):
        assert not is_denied(ipaddress.ip_address(text), allowed), text
    for text in ("127.0.0.2", "fd00::2", "192.168.0.1", "64:ff9b::c0a8:1", "2002:a00:1::1"):
        assert is_denied(ipaddress.ip_address(text), allowed), text
    assert allowed.names == {"proxy.example"}


@pytest.mark.parametrize("entry", ["10.0.0.0/33", "a/b", "", "0x7f000001", "host name"])
def test_an_entry_that_means_nothing_is_refused(entry: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        Allowed.of([entry])


@given(st.sampled_from([*NOWHERE, *METADATA, *INSIDE]), st.data())
def test_every_address_of_every_network_is_denied_however_it_is_wrapped(
    network: ipaddress.IPv4Network | ipaddress.IPv6Network, data: st.DataObject
) -> None:
    number = data.draw(st.integers(0, network.num_addresses - 1))
    address = network[number]
    assert is_denied(address, NOBODY)
    if isinstance(address, ipaddress.IPv4Address):
        low = int(address)
        for base in (
            0xFFFF << 32,
            0x64FF9B << 96,
            (0x2002 << 112) | (low << 80),
            0x5EFE << 32 | 0x26 << 120,
        ):
            inner = base if base >> 112 == 0x2002 else base | low
            assert is_denied(ipaddress.IPv6Address(inner), NOBODY)


@pytest.mark.parametrize(
    ("given_", "meant"),
    [
        ("Example.COM.", "example.com"),
        ("bücher.example", "xn--bcher-kva.example"),
        ("\uff11\uff12\uff17.0.0.1", "127.0.0.1"),
        ("127\u30020\u30020\u30021", "127.0.0.1"),
        ("::1", "::1"),
    ],
)
def test_a_host_is_what_a_resolver_gets(given_: str, meant: str) -> None:
    assert host_name(given_) == meant


@pytest.mark.parametrize(
    "host", ["", ".", "a b", "fe80::1%eth0", "a%41", "a/b", "x" * 300, "::zz", "a\nb", "a@b", "a#b"]
)
def test_what_can_be_no_host_is_refused(host: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        host_name(host)
