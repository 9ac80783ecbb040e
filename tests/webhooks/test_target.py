"""What an endpoint's address may look like."""

from ipaddress import ip_network

import pytest

from tallystick.webhooks.target import BadTarget, Rules, parse, why_not

OPEN = Rules((ip_network("127.0.0.1/32"),))


@pytest.mark.parametrize(
    ("text", "dialled"),
    [
        ("https://partner.example", "https://partner.example"),
        ("https://partner.example/hooks?a=1&b=%20", "https://partner.example/hooks?a=1&b=%20"),
        ("https://Partner.Example:443/x", "https://partner.example/x"),
        ("HTTPS://partner.example/", "https://partner.example/"),
        ("https://münchen.example/", "https://xn--mnchen-3ya.example/"),
        ("https://8.8.8.8/x", "https://8.8.8.8/x"),
        ("https://[2606:4700::1111]/x", "https://[2606:4700::1111]/x"),
    ],
)
def test_an_address_is_read_once_into_what_is_dialled(text: str, dialled: str) -> None:
    assert str(parse(text, Rules())) == dialled


@pytest.mark.parametrize(
    "text",
    [
        # every way to write 127.0.0.1, and other addresses that are denied
        "https://127.0.0.1/", "https://127.1/", "https://127.0.1/", "https://0x7f.1/", "https://0x7f000001/", "https://2130706433/",
        "https://0177.0.0.1/", "https://017700000001/", "https://127.0.0.1./", "https://127.000.000.001/", "https://0/",
        "https://\uff11\uff12\uff17.\uff10.\uff10.\uff11/", "https://127\u30020\u30020\u30021/", "https://\u2460\u2461\u2466.0.0.1/",
        "https://127%2e0%2e0%2e1/", "https://0x7F.0.0.0x1/",
        "https://[::1]/", "https://[::]/", "https://[::ffff:127.0.0.1]/", "https://[::ffff:7f00:1]/", "https://[::127.0.0.1]/",
        "https://[0:0:0:0:0:0:0:1]/", "https://[64:ff9b::7f00:1]/", "https://[2002:7f00:1::]/", "https://[fe80::1%25eth0]/",
        "https://[fe80::1%eth0]/", "https://[fd00::1]/", "https://[::1", "https://::1/", "https://169.254.169.254/latest/meta-data",
        "https://[fd00:ec2::254]/", "https://100.100.100.200/", "https://0.0.0.0/", "https://255.255.255.255/", "https://10.0.0.1/",
        # what is no address of an endpoint
        "http://partner.example/", "ftp://partner.example/", "file:///etc/passwd",
        "gopher://partner.example/", "//partner.example/",
        "partner.example", "", "https://", "https:///x", "https:partner.example", "https://partner.example:0/",
        "https://partner.example:22/", "https://partner.example:25/", "https://partner.example:6379/", "https://partner.example:80/",
        "https://partner.example:99999/", "https://user@partner.example/", "https://user:word@partner.example/",
        "https://:word@partner.example/", "https://@partner.example/", "https://partner.example/#part", "https://partner.example/#",
        "https://partner.example\\@127.0.0.1/", "https://partner.example /", " https://partner.example/",
        "https://partner.example/\r\nx: y",
        "https://partner.example/\tx", "https://partner.example/\x00", "https://part\nner.example/", "https://partner..example/",
        "https://" + "a" * 64 + ".example/", "https://" + "a." * 130 + "example/", "https://partner.example/" + "a" * 2048,
        "https://partner%2eexample/", "https://127.0.0.1:80\\@partner.example/",
    ],
)  # fmt: skip
def test_what_is_not_plainly_a_public_address_is_refused_with_a_sentence(text: str) -> None:
    said = why_not(text, Rules())
    assert said is not None and said.endswith(".")
    with pytest.raises(BadTarget):
        parse(text, Rules())


def test_what_an_operator_allows_may_be_plain_and_at_any_port_and_nothing_else_is() -> None:
    assert why_not("http://127.0.0.1:8080/hooks", OPEN) is None
    assert why_not("https://127.0.0.1:22/hooks", OPEN) is None
    for text in (
        "http://127.0.0.2:8080/", "https://127.0.0.2/", "http://127.1/", "http://2130706433/", "http://[::ffff:127.0.0.1]/",
        "http://partner.example/", "https://partner.example:22/", "http://8.8.8.8/",
    ):  # fmt: skip
        assert why_not(text, OPEN) is not None, text


def test_other_ports_are_those_that_an_operator_named() -> None:
    assert why_not("https://partner.example:8443/", Rules(ports=(443, 8443))) is None
    assert why_not("https://partner.example:8444/", Rules(ports=(443, 8443))) == "The port is 443 or 8443."
