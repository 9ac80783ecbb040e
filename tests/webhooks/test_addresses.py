"""The table of addresses that nothing is sent to."""

from ipaddress import ip_address, ip_network

import pytest

from tallystick.webhooks.addresses import is_denied

PUBLIC = [
    "8.8.8.8",
    "1.1.1.1",
    "100.63.255.255",
    "100.128.0.1",
    "172.15.0.1",
    "172.32.0.1",
    "192.1.0.1",
    "223.255.255.255",
]
PUBLIC_6 = ["2606:4700::1111", "2a00:1450:4001::1", "2001:200::1", "2001:4860:4860::8888", "2003::1"]
DENIED = [
    "0.0.0.0", "0.1.2.3", "10.0.0.1", "10.255.255.255", "100.64.0.1", "100.100.100.200", "100.127.255.255", "127.0.0.1",
    "127.255.255.254", "168.63.129.16", "169.254.0.1", "169.254.169.254", "172.16.0.1", "172.31.255.255", "192.0.0.1",
    "192.0.0.192",
    "192.0.2.1", "192.88.99.1", "192.168.0.1", "192.168.255.255", "198.18.0.1", "198.19.255.255", "198.51.100.1", "203.0.113.1",
    "224.0.0.1", "239.255.255.255", "240.0.0.1", "255.255.255.255",
]  # fmt: skip
DENIED_6 = [
    "::", "::1", "::7f00:1", "::127.0.0.1", "::ffff:127.0.0.1", "::ffff:8.8.8.8", "::ffff:0:127.0.0.1", "64:ff9b::a9fe:a9fe",
    "64:ff9b::8.8.8.8", "64:ff9b:1::1", "100::1", "2001::1", "2001:0:53aa:64c::1", "2001:1ff::1", "2001:db8::1",
    "2002:a9fe:a9fe::1",
    "2002:808:808::1", "3fff::1", "5f00::1", "fc00::1", "fd00:ec2::254", "fe80::1", "febf::1", "fec0::1", "ff02::1",
    "2606:4700::5efe:10.0.0.1", "2606:4700::200:5efe:169.254.169.254", "4000::1", "1::1", "fe80::1%1",
]  # fmt: skip


@pytest.mark.parametrize("text", [*DENIED, *DENIED_6])
def test_nothing_is_sent_to_what_is_private_reserved_or_holds_such_an_address(text: str) -> None:
    assert is_denied(ip_address(text))


@pytest.mark.parametrize("text", [*PUBLIC, *PUBLIC_6])
def test_what_is_public_is_reached(text: str) -> None:
    assert not is_denied(ip_address(text))


def test_who_allows_a_network_allows_it_in_this_form_only() -> None:
    allowed = [ip_network("127.0.0.1/32"), ip_network("fd00::/16")]
    assert not is_denied(ip_address("127.0.0.1"), allowed)
    assert not is_denied(ip_address("fd00::7"), allowed)
    for text in ("127.0.0.2", "::ffff:127.0.0.1", "::7f00:1", "64:ff9b::7f00:1", "2002:7f00:1::", "fd01::7"):
        assert is_denied(ip_address(text), allowed), text
