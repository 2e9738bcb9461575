"""Every folder and file name that the program owns, once.

Nothing is created here: who writes a file makes its folder.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import platformdirs

APP = "dmr"


@dataclass(frozen=True)
class Paths:
    """Where things live; made from the environment by `Paths.default()`."""

    data: Path
    config: Path
    state: Path

    @classmethod
    def default(cls) -> Paths:
        """The user's own folders: XDG on Linux, Library on macOS."""
        return cls(
            data=platformdirs.user_data_path(APP, appauthor=False),
            config=platformdirs.user_config_path(APP, appauthor=False),
            state=platformdirs.user_state_path(APP, appauthor=False),
        )

    @cached_property
    def models(self) -> Path:
        """Root of the model store: `MODELS_PATH`, else below the data folder."""
        chosen = os.environ.get("MODELS_PATH", "").strip().strip("\"'")
        return Path(chosen).expanduser() if chosen else self.data / "models"

    @property
    def config_file(self) -> Path:
        """The settings that a person writes (TOML)."""
        return self.config / "config.toml"

    @property
    def history(self) -> Path:
        """What was typed at the prompts of the REPL and of the Chat screen."""
        return self.state / "history"

    @property
    def screen_state(self) -> Path:
        """What the full screen remembers: JSON, see `screens.remembered`."""
        return self.state / "screen.json"

    @property
    def drafts(self) -> Path:
        """Folder of what is typed and not sent yet; see `chat.drafts`."""
        return self.state / "drafts"

    @property
    def chats(self) -> Path:
        """Saved chats (SQLite)."""
        return self.data / "chats.db"

    @property
    def pulls(self) -> Path:
        """The pulls that are to be gone on with: JSON, see `runner.unfinished`."""
        return self.state / "pulls.json"

    @property
    def measured(self) -> Path:
        """How fast each model was on this machine (JSON)."""
        return self.data / "measured.json"

    @property
    def shapes(self) -> Path:
        """What was read of models' headers for the memory plan; may be deleted at any time."""
        return self.state / "shapes.cache"

    @property
    def logs(self) -> Path:
        """Folder of the runner's and the workers' logs."""
        return self.state / "logs"

    @property
    def endpoint(self) -> Path:
        """Where a running `dmr serve` says who it is: JSON, see `runner.contexts`."""
        return self.state / "endpoint.json"
