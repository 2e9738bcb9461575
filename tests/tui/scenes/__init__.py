"""The pictures of all screens: which scenes are played, and how they are set."""

from __future__ import annotations

from tests.tui.scenes import chat, get, logs, models, monitor
from tests.tui.scenes.scene import Picture

PICTURES: dict[str, Picture] = {
    **models.PICTURES,
    **get.PICTURES,
    **chat.PICTURES,
    **monitor.PICTURES,
    **logs.PICTURES,
}
