"""Media types by the rules of JSON:API 1.1."""

import pytest

from tallystick.base.mediatypes import is_acceptable, may_be_sent

J = "application/vnd.api+json"


@pytest.mark.parametrize(
    "sent",
    [
        J,
        "Application/VND.API+JSON",
        f"{J}; profile=https://example.com/a",
        f'{J};profile="https://example.com/a https://example.com/b"',
        f'{J};PROFILE="a;ext=b"',
        f"{J};",
        f"  {J} ; ",
        "application/json",
        "application/json; charset=utf-8",
        'application/json;charset="UTF-8"',
    ],
)
def test_what_may_be_sent(sent: str) -> None:
    assert may_be_sent(sent)


@pytest.mark.parametrize(
    "sent",
    [
        "",
        ";",
        "text/plain",
        "application/x-www-form-urlencoded",
        "multipart/form-data; boundary=x",
        f"{J}; charset=utf-8",
        f"{J}; ext=https://jsonapi.org/ext/atomic",
        f'{J}; ext=""',
        f"{J}; profile=a; ext=b",
        f"{J}; profile=a; profile=b",
        f"{J}; profile",
        f"{J}; =a",
        f'{J}; charset="a',
        f"{J}, {J}",
        "application/json; charset=latin-1",
        "application/json; version=1",
        "application/vnd.api+jsonx",
    ],
)
def test_what_may_not_be_sent(sent: str) -> None:
    assert not may_be_sent(sent)


@pytest.mark.parametrize(
    "accept",
    [
        "",
        ", ,",
        "*/*",
        "application/*",
        "application/json",
        J,
        f"{J};q=0.1",
        f"{J}; profile=https://example.com/a",
        f"{J}; charset=utf-8, {J}",
        f"{J};ext=a, {J};profile=b",
        f"text/html, {J};q=0.001",
        "text/html,application/xhtml+xml,*/*;q=0.8",
        "application/json, text/plain, */*",
        "application/json;charset=utf-8",
        "garbage, */*",
        ";;;, */*",
        f'text/html;x="a,{J}", */*',
        f"*/*;q=0, {J}",
        "application/*;q=0, application/json",
    ],
)
def test_what_accepts_our_answers(accept: str) -> None:
    assert is_acceptable(accept)


@pytest.mark.parametrize(
    "accept",
    [
        "text/html",
        "image/*",
        "application/xml",
        f"{J}; charset=utf-8",
        f"{J}; charset=utf-8, {J}; ext=a",
        f"{J}; charset=utf-8, */*",
        f"{J}; ext=a, application/json",
        f"{J};q=0",
        f"{J};q=0, */*",
        f"{J};q=0.000",
        f"{J};q=x",
        f"{J};q=nan",
        f"{J};q=2",
        f"{J};q=-1",
        f"{J};q=",
        "*/*;q=0",
        "application/*;q=0, */*",
        "garbage",
        "\x00",
        ";q=1",
        f'text/html;x="a,{J}"',
        f'text/html;x="\\",{J}"',
    ],
)
def test_what_does_not(accept: str) -> None:
    assert not is_acceptable(accept)


def test_a_backslash_hides_only_what_follows_it() -> None:
    assert is_acceptable(f'text/html;x="a\\\\",{J}')
