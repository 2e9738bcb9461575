from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest
from textual.widgets import TextArea

from dmr_tui.actions import ACTIONS, MODES, SCOPES, actions, bindings, display_key
from dmr_tui.screens.chat.chats import ChatList
from dmr_tui.screens.chat.reading import ReadingView
from dmr_tui.screens.chat.screen import ChatScreen
from dmr_tui.screens.endpoint_panel import EndpointPanel
from dmr_tui.screens.get.screen import GetScreen
from dmr_tui.screens.logs.screen import LogsScreen
from dmr_tui.screens.models.compare import CompareScreen
from dmr_tui.screens.models.screen import ModelsScreen
from dmr_tui.screens.models.welcome import Welcome
from dmr_tui.screens.monitor.screen import MonitorScreen
from dmr_tui.widgets.prompt import PromptArea
from dmr_tui.widgets.table import Table
from dmr_tui.widgets.transcript import Transcript
from tests.tui.stage import StageRunner, stage

NODES = {
    "compare": CompareScreen,
    "endpoint": EndpointPanel,
    "welcome": Welcome,
    "models": ModelsScreen,
    "list": Table,
    "chat": ChatScreen,
    "transcript": Transcript,
    "message": ReadingView,
    "chats": ChatList,
    "prompt": PromptArea,
    "get": GetScreen,
    "monitor": MonitorScreen,
    "logs": LogsScreen,
}


def test_ids_are_unique_and_in_a_known_scope() -> None:
    counted = Counter(action.id for action in ACTIONS)
    assert [name for name, count in counted.items() if count > 1] == []
    assert {action.scope for action in ACTIONS} <= set(SCOPES)


@pytest.mark.parametrize("action", ACTIONS, ids=lambda action: action.id)
def test_every_action_exists_and_says_what_it_does(action, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]  # noqa: ANN001
    where, _, name = action.target.rpartition(".")
    on_screen = action.scope in (*MODES, "endpoint", "compare")
    assert where == ("app" if action.scope == "app" else "screen" if on_screen else "")
    node = stage(StageRunner(), tmp_path) if action.scope == "app" else NODES[action.scope]
    assert callable(getattr(node, f"action_{name}"))
    assert action.help.endswith(".")
    assert action.title
    assert action.keys or action.palette


@pytest.mark.parametrize(
    "together",
    [
        *(("app", *MODES[mode]) for mode in ("get", "monitor", "logs")),
        ("app", "models", "list"),
        ("app", "models", "welcome"),
        ("app", "compare", "prompt"),
        ("app", "chat", "prompt"),
        ("app", "chat", "message", "transcript"),
        ("app", "chat", "chats"),
    ],
)
def test_no_key_means_two_things_at_once(together: tuple[str, ...]) -> None:
    # The arrow keys of a list and the enter key belong to the widget with the focus by design.
    keys = Counter(key for action in actions(*together) for key in action.keys)
    assert [key for key, count in keys.items() if count > 1] == []


def test_keys_of_the_chat_are_not_swallowed_by_the_prompt() -> None:
    editing = {key for binding in TextArea.BINDINGS for key in binding.key.split(",")}  # type: ignore[union-attr]  # it has Binding objects only
    mine = [action for action in actions("chat", "app") if not action.priority]
    chat = [key for action in mine if action.scope == "chat" for key in action.keys]
    assert editing & set(chat) == set()


def test_no_default_key_is_one_that_terminals_cannot_send() -> None:
    lost = {"ctrl+i", "ctrl+m", "ctrl+h", "ctrl+left_square_bracket", "ctrl+tab", "f10", "f11"}
    lost |= {f"ctrl+{digit}" for digit in range(10)}
    assert [a.id for a in ACTIONS if lost & set(a.keys)] == []


def test_bindings_carry_the_actions_id_for_every_key() -> None:
    made = {(binding.key, binding.id) for binding in bindings("app")}  # type: ignore[union-attr]  # only Binding objects are made
    assert ("ctrl+q", "app.quit") in made
    assert ("q", "app.quit") in made


@pytest.mark.parametrize(
    ("key", "shown"),
    [
        ("ctrl+p", "^p"),
        ("enter", "⏎"),
        ("escape", "esc"),
        ("question_mark", "?"),
        ("f1", "F1"),
        ("alt+1", "alt+1"),
        ("shift+enter", "shift+⏎"),
        ("E", "E"),
    ],
)
def test_keys_are_written_as_people_write_them(key: str, shown: str) -> None:
    assert display_key(key) == shown
