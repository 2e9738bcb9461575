from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from dmr_tui.chat.sessions import Sessions


@pytest.fixture
def chats_file(tmp_path: Path) -> Path:
    return tmp_path / "data" / "chats.db"


@pytest.fixture
async def sessions(chats_file: Path) -> AsyncIterator[Sessions]:
    opened = Sessions(chats_file)
    yield opened
    await opened.close()
