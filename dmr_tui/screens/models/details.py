"""What is known of one model: the pane beside the table, or three lines below it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from textual.content import Content
from textual.widgets import Static

from dmr_tui.screens.library import short_name
from dmr_tui.screens.models.capabilities import CAPABILITIES, capabilities
from dmr_tui.screens.models.knowledge import Knowledge
from dmr_tui.screens.pull_view import pull_content
from dmr_tui.screens.pulls import Pull
from dmr_tui.widgets.figures import age, duration, grouped, long_size, short_count, speed
from dmr_tui.widgets.gauge import bar
from dmr_tui.widgets.printable import printable

if TYPE_CHECKING:
    from dmr_tui.engine.fit import Fit
    from dmr_tui.runner.measured import Measured

_TALL = 6
_BAR = 13
_GB, _MB = 1e9, 1e6
_LABEL = 11


class Details(Static):
    """The facts of the model under the cursor; as many as its height allows."""

    def __init__(self) -> None:
        super().__init__(id="details")
        self._shown: Knowledge | Pull | None = None

    def show(self, shown: Knowledge | Pull | None) -> None:
        """Show what is known of a model, how far a pull is, or nothing."""
        self._shown = shown
        # Its size is the screen's affair, so nothing has to be laid out anew at each key.
        self.update(self.content_now(), layout=False)

    def on_resize(self) -> None:
        """Use the room there is."""
        self.update(self.content_now(), layout=False)

    def content_now(self) -> Content:
        """The text for the room there is."""
        shown = self._shown
        if shown is None:
            self.border_title = None
            return Content("")
        short = self.size.height < _TALL
        name = shown.name if isinstance(shown, Pull) else shown.entry.name
        self.border_title = None if short else printable(short_name(name))
        self.border_subtitle = None if short or isinstance(shown, Pull) else "i everything"
        if isinstance(shown, Pull):
            return pull_content(shown, self.size.width)
        lines = brief(shown) if short else full(shown)
        width = max(self.size.width, 1)
        return Content("\n").join([line.truncate(width, ellipsis=True) for line in lines])


def brief(known: Knowledge) -> list[Content]:
    """Three lines: what it is, what it takes, how fast it was."""
    config = known.entry.model.config
    facts = [config.architecture, short_count(config.parameters), config.quantization]
    facts = [each for each in (*facts, " ".join(_able(known)), known.licence) if each]
    measured = known.entry.measured
    last = f"here: {' · '.join(_speeds(measured))}" if measured else _names(known)
    return [
        Content.styled(printable(known.entry.name), "bold")
        + Content.styled(printable("".join(f" · {fact}" for fact in facts)), "$text-muted"),
        _sum(known),
        Content.styled(printable(last), "$text-muted"),
    ]


def full(known: Knowledge) -> list[Content]:
    """All of it, in sections, the most asked for first."""
    config = known.entry.model.config
    head = [known.title, config.architecture, known.licence]
    lines = [
        Content(printable(" · ".join(dict.fromkeys(filter(None, head))))),
        _abilities(known),
        Content(""),
        *_memory(known),
    ]
    measured = known.entry.measured
    if measured and (speeds := _speeds(measured)):
        answers = f"{measured.answers} answer{'' if measured.answers == 1 else 's'}"
        lines += _section(f"Speed here (measured, {answers})", _wrap(speeds, 2))
    settings = [f"{name} {value}" for name, value in known.settings()]
    lines += _section("Settings", _wrap(settings or ["defaults; e changes them"], 2))
    lines += _section("File", _file(known))
    lines += _section("Names", [printable(tag) for tag in known.entry.model.tags])
    return lines


def _section(title: str, rows: Iterable[str]) -> list[Content]:
    found = [Content(f" {row}") for row in rows if row]
    return [Content(""), Content.styled(title, "bold $text-primary"), *found] if found else []


def _wrap(items: Sequence[str], count: int) -> list[str]:
    return [" · ".join(items[i : i + count]) for i in range(0, len(items), count)]


def _able(known: Knowledge) -> list[str]:
    return [f"{name} ✓" for name in capabilities(known.entry.model)]


def _abilities(known: Knowledge) -> Content:
    able = capabilities(known.entry.model)
    if "embedding" in able:
        return Content("embedding ") + Content.styled("✓", "$text-success")
    parts = []
    for name in CAPABILITIES[:4]:
        sign = ("✓", "$text-success") if name in able else ("–", "$text-disabled")
        parts.append(Content(f"{name} ") + Content.styled(*sign))
    return Content(" ").join(parts)


def _memory(known: Knowledge) -> list[Content]:
    """The memory by part, as bars of what could be had."""
    fit = known.fit
    if fit is None:
        lines = [_heading("Memory", "")]
        return [*lines, Content.styled(" not known yet", "$text-muted"), *_state(known)]
    room = max(_free(fit), fit.total, 1)
    parts = [
        ("weights", fit.weights),
        ("KV cache", fit.cache),
        ("compute", fit.compute),
        ("process", fit.overhead),
    ]
    style = "$primary" if fit.fits else "$error"
    lines = [_heading(f"Memory at ctx {grouped(fit.context)}", "[ ] changes it")]
    lines += [
        Content(f" {name:<{_LABEL}}{long_size(size):>7} ") + bar(size / room, _BAR, style=style)
        for name, size in parts
    ]
    lines += [Content(" ") + _need(fit), *_largest(fit), *_state(known)]
    return lines


def _heading(title: str, hint: str) -> Content:
    return Content.styled(title, "bold $text-primary") + Content.styled(f"  {hint}", "$text-muted")


def _need(fit: Fit) -> Content:
    return Content(f"{long_size(fit.total)} of {long_size(_free(fit))} free → ") + _where(fit)


def _free(fit: Fit) -> int:
    """What there is of the memory that it would use."""
    if not fit.gpu_layers:
        return fit.host_free
    whole = fit.gpu_layers >= fit.layers
    return fit.device_free if whole else fit.device_free + fit.host_free


def _where(fit: Fit) -> Content:
    if not fit.fits:
        return Content.styled(f"NO, −{long_size(fit.missing)}", "$text-error")
    if 0 < fit.gpu_layers < fit.layers:
        return Content.styled(f"{fit.gpu_layers}/{fit.layers} on GPU", "$text-warning")
    return Content.styled("all on GPU" if fit.gpu_layers else "fits", "$text-success")


def _largest(fit: Fit) -> list[Content]:
    if not fit.largest_context:
        return [Content.styled(" no context fits", "$text-error")]
    trained = f" of {grouped(fit.trained_context)}" if fit.trained_context else ""
    return [Content(f" largest ctx that fits {grouped(fit.largest_context)}{trained}")]


def _state(known: Knowledge) -> list[Content]:
    """What is in memory now, if it is."""
    worker = known.entry.running
    if worker is None or known.entry.state != "ready":
        return []
    words = f" loaded: {long_size(worker.memory)}" if worker.memory else " loaded"
    context = f" at ctx {grouped(worker.context_size)}" if worker.context_size else ""
    return [Content.styled(words + context, "$text-success")]


def _sum(known: Knowledge) -> Content:
    """The memory in one line, in a unit that all parts of it share."""
    fit = known.fit
    if fit is None:
        return Content.styled(f"{long_size(known.entry.size)} on disk", "$text-muted")
    sizes = (fit.weights, fit.cache, fit.compute + fit.overhead, fit.total)
    if fit.total < _GB:
        weights, cache, rest, total = (f"{size / _MB:.0f}" for size in sizes)
        total += " MB"
    else:
        weights, cache, rest, total = (f"{size / _GB:.1f}" for size in sizes)
    parts = f"ctx {fit.context}: weights {weights} + KV {cache} + rest {rest} = {total}"
    return Content(f"{parts} of {_free(fit) / _GB:.1f} GB → ") + _where(fit)


def _speeds(measured: Measured) -> list[str]:
    said = []
    if measured.prompt_rate:
        said.append(f"prompt {speed(measured.prompt_rate)}")
    if measured.generation_rate:
        said.append(f"gen {speed(measured.generation_rate)}")
    if measured.first_token:
        said.append(f"first token {duration(measured.first_token)}")
    if measured.load:
        said.append(f"load {duration(measured.load)}")
    return said


def _names(known: Knowledge) -> str:
    return ", ".join(known.entry.model.tags) or known.entry.model.id


def _file(known: Knowledge) -> list[str]:
    model = known.entry.model
    digest = model.id.removeprefix("sha256:")
    size = sum(int(layer.get("size", 0)) for layer in known.layers)
    layers, heads = known.number("block_count"), known.number("attention.head_count")
    kv_heads = known.number("attention.head_count_kv")
    rows = [
        f"sha256:{digest[:8]}…{digest[-2:]}" + (f"  {grouped(size)} B" if size else ""),
        " · ".join(
            part
            for part in (
                model.config.format.upper(),
                layers and f"{layers} layers",
                known.number("embedding_length") and f"{known.number('embedding_length')} wide",
            )
            if part
        ),
        " · ".join(
            part
            for part in (
                heads and f"{heads} heads",
                kv_heads and f"{kv_heads} KV heads",
            )
            if part
        ),
    ]
    if known.shared:
        freed = long_size(known.freed)
        rows.append(f"{long_size(known.shared)} shared: deleting frees {freed}")
    if known.now and model.created:
        ago = age(known.now - model.created)
        rows.append("packaged just now" if ago == "now" else f"packaged {ago} ago")
    if known.outdated:
        rows.append("! newer in its registry: u gets it")
    return rows
