"""Who decides how large a context is."""

from __future__ import annotations

import pytest

from dmr_tui.engine.context import choose_context_size


@pytest.mark.parametrize(
    ("profile", "package", "settings", "trained", "tokens"),
    [
        (None, None, 0, 2048, 2048),
        (None, None, 0, 131072, 8192),
        (None, None, 4096, 131072, 4096),
        (None, None, 16384, 131072, 16384),
        (None, 32768, 4096, 131072, 32768),
        (None, -1, 4096, 131072, 131072),
        (None, 0, 4096, 131072, 4096),
        (1024, 32768, 4096, 131072, 1024),
        (-1, 32768, 4096, 131072, 131072),
        (0, 32768, 4096, 131072, 32768),
        (-7, None, -3, 131072, 8192),
        (None, None, 0, 0, 1),
        (-1, None, 0, 0, 1),
    ],
)
def test_the_nearest_wish_wins(
    profile: int | None, package: int | None, settings: int, trained: int, tokens: int
) -> None:
    chosen = choose_context_size(
        profile=profile, package=package, settings=settings, trained=trained
    )
    assert chosen == tokens
