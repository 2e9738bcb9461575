"""What the command palette offers: every action, and every model."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from functools import partial

from textual.command import DiscoveryHit, Hit, Hits, Provider

from dmr_tui.actions import ACTIONS, MODES, Action
from dmr_tui.screens.messages import FindModels, GetModel, OpenChat
from dmr_tui.screens.shell import ShellScreen

_GET = re.compile(r"^(?:get|pull)\s+(?=\S)", re.IGNORECASE)
"""What a person writes who says what is to be done."""
_LAST = 0.001
"""The score of what stands below all that matches."""


class Actions(Provider):
    """Every action with a palette text; one of another screen goes there first."""

    async def discover(self) -> Hits:
        """All of them, before anything is typed."""
        for action in _offered():
            yield DiscoveryHit(action.palette, partial(self._run, action), help=action.help)

    async def search(self, query: str) -> Hits:
        """Those that match."""
        matcher = self.matcher(query)
        for action in _offered():
            score = matcher.match(action.palette)
            if score > 0:
                shown = matcher.highlight(action.palette)
                yield Hit(score, shown, partial(self._run, action), help=action.help)

    async def _run(self, action: Action) -> None:
        if action.scope in MODES:
            await self.app.switch_mode(action.scope)
        await self.app.run_action(action.target)


class Models(Provider):
    """Every stored model: choosing one opens a chat with it."""

    async def search(self, query: str) -> Hits:
        """Those that match."""
        matcher = self.matcher(query)
        for text, run in self._models():
            score = matcher.match(text)
            if score > 0:
                yield Hit(score, matcher.highlight(text), run)

    def _models(self) -> Iterator[tuple[str, Callable[[], object]]]:
        if isinstance(self.screen, ShellScreen):
            for entry in self.screen.workspace.library.entries:
                yield (
                    f"Chat with {entry.names}",
                    partial(self.screen.post_message, OpenChat(entry.name)),
                )


class Wishes(Provider):
    """What is typed, as a model to get; or, where nothing else matches, as words to look for."""

    async def search(self, query: str) -> Hits:
        """At most one, below everything that matches."""
        from dmr_tui.screens.get.wish import Named, parse_wish  # not before the first frame

        words = _GET.sub("", query.strip())
        ordered = words != query.strip()
        wish, score = parse_wish(words), 1.0 if ordered else _LAST
        if isinstance(wish, Named):
            run = partial(self.screen.post_message, GetModel(wish.name))
            yield Hit(score, f"Get {wish.name}", run, help="Fetch this model.")
        elif words and (ordered or not self._is_known(query)):
            run = partial(self.screen.post_message, FindModels(words))
            text = f"Look for “{words}” on Get"
            yield Hit(score, text, run, help="Search Docker Hub and Hugging Face.")

    def _is_known(self, query: str) -> bool:
        matcher = self.matcher(query)
        known = [action.palette for action in _offered()]
        if isinstance(self.screen, ShellScreen):
            entries = self.screen.workspace.library.entries
            known += [f"Chat with {entry.names}" for entry in entries]
        return any(matcher.match(text) > 0 for text in known)


def _offered() -> list[Action]:
    return [action for action in ACTIONS if action.palette]
