"""Logs."""

from __future__ import annotations

from tests.tui.scenes.scene import Picture

PICTURES: dict[str, Picture] = {}
