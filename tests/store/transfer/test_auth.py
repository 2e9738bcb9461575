"""Challenges as registries write them."""

from __future__ import annotations

import pytest

from dmr_tui.store.transfer.auth import Challenge, parse_challenges
from dmr_tui.store.transfer.origins import is_loopback


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ([], []),
        (['Basic realm="tests"'], [Challenge("basic", {"realm": "tests"})]),
        (
            ['Bearer realm="https://a/t",service="s",scope="repository:x/y:pull,push"'],
            [
                Challenge(
                    "bearer",
                    {
                        "realm": "https://a/t",
                        "service": "s",
                        "scope": "repository:x/y:pull,push",
                    },
                )
            ],
        ),
        (
            ['BEARER Realm = "https://a/t?x=1" , SERVICE=s'],
            [Challenge("bearer", {"realm": "https://a/t?x=1", "service": "s"})],
        ),
        (
            ['Bearer realm="https://a/t", Basic realm="b, with comma"'],
            [
                Challenge("bearer", {"realm": "https://a/t"}),
                Challenge("basic", {"realm": "b, with comma"}),
            ],
        ),
        (
            ["Negotiate", 'Basic realm="b"'],
            [Challenge("negotiate", {}), Challenge("basic", {"realm": "b"})],
        ),
        (['="nothing"', ",,,"], []),
    ],
)
def test_challenges_are_read(headers: list[str], expected: list[Challenge]) -> None:
    assert parse_challenges(headers) == expected


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        ("localhost", True),
        ("registry.localhost", True),
        ("127.0.0.1", True),
        ("127.9.9.9", True),
        ("::1", True),
        ("[::1]", True),
        ("10.0.0.1", False),
        ("localhost.example.com", False),
        ("127.0.0.1.example.com", False),
        ("", False),
    ],
)
def test_loopback_is_this_machine(host: str, expected: bool) -> None:
    assert is_loopback(host) is expected
