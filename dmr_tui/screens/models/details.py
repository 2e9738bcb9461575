"""What is known of one model: the pane beside the table, or a few lines below it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from textual.content import Content
from textual.widgets import Static

from dmr_tui.screens.library import Entry
from dmr_tui.screens.models.columns import Row, short_name
from dmr_tui.screens.pull_view import pull_content
from dmr_tui.screens.pulls import Pull
from dmr_tui.widgets.figures import clock, grouped, long_size
from dmr_tui.widgets.printable import printable

_LABEL = 13
_TALL = 6


class Details(Static):
    """The facts of the model under the cursor; as much as its height allows."""

    def __init__(self) -> None:
        super().__init__(id="details")
        self._row: Row | None = None
        self._manifest: Mapping[str, Any] | None = None

    def show(self, row: Row | None, manifest: Mapping[str, Any] | None) -> None:
        """Show a row, with its manifest as soon as that has been read."""
        self._row, self._manifest = row, manifest
        self.update(self._content())

    def on_resize(self) -> None:
        """Use the room there is."""
        self.update(self._content())

    def _content(self) -> Content:
        row = self._row
        if row is None:
            return Content("")
        short = self.size.height < _TALL
        self.border_title = None if short else short_name(row.name)
        if isinstance(row, Pull):
            return pull_content(row, self.size.width)
        return _short(row) if short else _full(row, self._manifest)


def _short(entry: Entry) -> Content:
    config = entry.model.config
    facts = [config.architecture, config.parameters, config.quantization, config.format]
    lines = [
        Content.styled(entry.name, "bold")
        + Content.styled(printable("".join(f" · {fact}" for fact in facts if fact)), "$text-muted"),
        Content(_memory(entry)),
        Content.styled(", ".join(entry.model.tags) or entry.model.id, "$text-muted"),
    ]
    return Content("\n").join(lines)


def _full(entry: Entry, manifest: Mapping[str, Any] | None) -> Content:
    config = entry.model.config
    sections = [
        ("Model", [
            ("architecture", config.architecture),
            ("parameters", config.parameters),
            ("quantization", config.quantization),
            ("context", f"{grouped(entry.context)} tokens" if entry.context else ""),
            ("format", config.format),
            *_metadata(config.gguf, config.architecture),
        ]),
        ("Memory", [("state", _memory(entry)), *_worker(entry)]),
        ("Files", _files(entry, manifest)),
        ("Names", [("", tag) for tag in entry.model.tags]),
    ]  # fmt: skip
    lines: list[Content] = []
    for title, rows in sections:
        shown = [(label, value) for label, value in rows if value]
        if shown:
            lines += [Content(""), Content.styled(title, "bold $text-primary")]
            lines += [_fact(label, value) for label, value in shown]
    return Content("\n").join(lines[1:])


def _fact(label: str, value: str) -> Content:
    left = Content.styled(f"{label:<{_LABEL}}", "$text-muted") if label else Content("")
    return Content("  ") + left + Content(printable(value))


def _metadata(gguf: Mapping[str, str], architecture: str) -> list[tuple[str, str]]:
    wanted = {
        "general.name": "name",
        "general.license": "licence",
        f"{architecture}.block_count": "layers",
        f"{architecture}.attention.head_count": "heads",
        f"{architecture}.attention.head_count_kv": "KV heads",
        f"{architecture}.embedding_length": "embedding",
    }
    return [(label, gguf.get(key, "")) for key, label in wanted.items()]


def _memory(entry: Entry) -> str:
    worker = entry.running
    if worker is None:
        return f"on disk, {long_size(entry.size)}" if entry.size else "on disk"
    words = {"ready": "loaded", "loading": "loading …", "unloading": "unloading …"}
    memory = f", {long_size(worker.memory)}" if worker.memory else ""
    answering = f", {worker.in_use} answering" if worker.in_use else ""
    return words[entry.state] + memory + answering


def _worker(entry: Entry) -> list[tuple[str, str]]:
    worker = entry.running
    if worker is None:
        return []
    stays = "for ever" if worker.keep_alive < 0 else f"{clock(worker.keep_alive)} when idle"
    return [
        ("engine", worker.backend),
        ("context", f"{grouped(worker.context_size)} tokens" if worker.context_size else ""),
        ("on GPU", f"{worker.gpu_layers} layers" if worker.gpu_layers else ""),
        ("stays", stays),
    ]


def _files(entry: Entry, manifest: Mapping[str, Any] | None) -> list[tuple[str, str]]:
    rows = [("id", entry.model.id.removeprefix("sha256:")[:12])]
    for layer in (manifest or {}).get("layers", []):
        kind = re.sub(r"\.v\d.*|\+.*", "", str(layer.get("mediaType", ""))).rpartition(".")[2]
        rows.append((kind[: _LABEL - 1], f"{grouped(int(layer.get('size', 0)))} B"))
    return rows
