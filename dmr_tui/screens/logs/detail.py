"""One request: what was asked, what was answered, how long it took, and how to ask it again."""

from __future__ import annotations

from typing import Any

import msgspec
from textual.app import ComposeResult
from textual.containers import Vertical, VerticalScroll
from textual.content import Content
from textual.widgets import Static

from dmr_tui.actions import bindings
from dmr_tui.runner.activity.records import Bodies, RequestRecord
from dmr_tui.screens.logs import wording
from dmr_tui.screens.logs.curl import curl_command
from dmr_tui.screens.logs.remedies import remedy
from dmr_tui.widgets.figures import grouped
from dmr_tui.widgets.gauge import bar
from dmr_tui.widgets.printable import printable

TABS = ("Request", "Response", "Timing", "curl")

_MOST = 20_000
"""Characters of a text that are shown; all of it is exported and copied."""

_SHOWN = ("temperature", "top_p", "max_tokens", "max_completion_tokens", "seed", "stop", "n")
_ROLE = 10
_LABEL = 14


class DetailScroll(VerticalScroll, inherit_bindings=False):
    """What is longer than the pane; ← and → are left to the screen."""

    BINDINGS = bindings("list")

    def action_cursor_down(self) -> None:
        """One row on."""
        self.scroll_down(animate=False)

    def action_cursor_up(self) -> None:
        """One row back."""
        self.scroll_up(animate=False)

    def action_page_down(self) -> None:
        """One page on."""
        self.scroll_page_down(animate=False)

    def action_page_up(self) -> None:
        """One page back."""
        self.scroll_page_up(animate=False)

    def action_scroll_top(self) -> None:
        """The beginning."""
        self.scroll_home(animate=False)

    def action_scroll_bottom(self) -> None:
        """The end."""
        self.scroll_end(animate=False)


class Detail(Vertical):
    """Facts of the request under the cursor, in four tabs."""

    def __init__(self) -> None:
        super().__init__(id="detail")
        self._tab = 0
        self._record: RequestRecord | None = None
        self._bodies: Bodies | None = None
        self._url, self._served, self._key, self._keeps = "", False, False, True

    def compose(self) -> ComposeResult:
        """Head, then what scrolls."""
        yield Static(id="detail-head")
        with DetailScroll(id="detail-scroll"):
            yield Static(id="detail-body")

    @property
    def record(self) -> RequestRecord | None:
        """What is shown."""
        return self._record

    @property
    def bodies(self) -> Bodies | None:
        """Its texts, as far as they are there."""
        return self._bodies

    @property
    def command(self) -> str:
        """The request as a command for a shell; empty when there is none."""
        if self._record is None:
            return ""
        return curl_command(self._record, self._bodies, self._url, key=self._key)

    def show(
        self,
        record: RequestRecord | None,
        bodies: Bodies | None,
        *,
        url: str,
        served: bool,
        key: bool,
        keeps: bool,
    ) -> None:
        """Show a request.

        Args:
            record: the request; None: none.
            bodies: its texts, if they are there.
            url: of the endpoint, for the command.
            served: something listens there.
            key: the endpoint wants an API key.
            keeps: texts are kept at the moment.
        """
        same = record is not None and self._record is not None and record.id == self._record.id
        self._record, self._bodies = record, bodies
        self._url, self._served, self._key, self._keeps = url, served, key, keeps
        if not same:
            self.query_one(DetailScroll).scroll_home(animate=False)
        self._draw()

    def on_resize(self) -> None:
        """Use the room there is."""
        self._draw()

    def take_focus(self) -> None:
        """Let the text be scrolled by keys."""
        self.query_one(DetailScroll).focus()

    def turn(self, step: int) -> None:
        """Go to another tab."""
        self._tab = (self._tab + step) % len(TABS)
        self.query_one(DetailScroll).scroll_home(animate=False)
        self._draw()

    def _draw(self) -> None:
        record = self._record
        head, body = self.query_one("#detail-head", Static), self.query_one("#detail-body", Static)
        if record is None:
            head.update("")
            body.update(Content.styled("No request is selected.", "$text-muted"))
            return
        head.update(Content("\n").join([self._title(record), *self._why(record)]))
        pages = (self._request, self._response, self._timing, self._curl)
        body.update(pages[self._tab](record))

    def _title(self, record: RequestRecord) -> Content:
        state = Content.styled(wording.status(record), f"bold {wording.style(record)}")
        tabs = [
            Content.styled(f"[{name}]", "bold $foreground")
            if number == self._tab
            else Content.styled(f" {name} ", "$text-muted")
            for number, name in enumerate(TABS)
        ]
        return state + Content("  ") + Content("").join(tabs)

    def _why(self, record: RequestRecord) -> list[Content]:
        found = remedy(record)
        if not found.why:
            return []
        lines = [Content.styled("Why  ", "bold $text-error") + Content(printable(found.why))]
        if found.fix:
            key = Content.styled("e", "bold $primary")
            lines.append(Content("     ") + key + Content(f" {printable(found.title)}"))
        return lines

    # The four pages.

    def _request(self, record: RequestRecord) -> Content:
        asked = f"{record.method or 'POST'} {record.path}" if record.path else "inside this program"
        lines = [
            _fact("from", wording.client(record) or "unknown"),
            _fact("at", wording.clock_time(record.time)),
            _fact("asked", asked),
            _fact("model", _model(record)),
        ]
        if self._bodies is None:
            return Content("\n").join([*lines, Content(""), self._no_texts(record)])
        return Content("\n").join([*lines, *_asked(self._bodies.request)])

    def _response(self, record: RequestRecord) -> Content:
        if self._bodies is None:
            return self._no_texts(record)
        if not self._bodies.response:
            text = "The answer has not begun." if record.running else "There was no answer."
            return Content.styled(text, "$text-muted")
        return _answered(self._bodies.response)

    def _timing(self, record: RequestRecord) -> Content:
        total = record.seconds or 0.0
        width = max(min(self.size.width - _LABEL - 16, 32), 8)
        first = record.first_token_seconds
        rows = [
            ("loading", record.load_seconds),
            ("prompt", record.prompt_seconds or None),
            ("answer", record.generation_seconds or None),
        ]
        lines = []
        for label, seconds in rows:
            if seconds is not None:
                share = bar(seconds / total if total else 0.0, width)
                lines.append(_fact(label, "") + share + Content(f" {seconds:.2f} s"))
        facts = [
            ("first token", "" if first is None else f"{first:.2f} s after it came"),
            ("in all", f"{total:.2f} s" if record.seconds is not None else "it is still running"),
            ("tokens in", _prompt(record)),
            ("tokens out", _generated(record)),
            ("ended by", record.reason),
        ]
        lines += [_fact(label, value) for label, value in facts if value]
        return Content("\n").join(lines)

    def _curl(self, record: RequestRecord) -> Content:
        key = Content.styled("y", "bold $primary") + Content.styled(" copies it", "$text-muted")
        if not self._served:
            key += Content.styled("; ", "$text-muted") + Content.styled("E", "bold $primary")
            key += Content.styled(" turns the endpoint on", "$text-muted")
        return Content("\n").join([_cut(self.command), Content(""), key])

    def _no_texts(self, record: RequestRecord) -> Content:
        if not self._keeps:
            text = "Texts are not recorded. b records those of the next requests, in memory only."
        elif record.running:
            text = "The texts can be seen in a moment."
        else:
            text = "Its texts are not kept (any more): only those of the newest requests are."
        return Content.styled(text, "$text-muted")


def _fact(label: str, value: str) -> Content:
    return Content.styled(f"{label:<{_LABEL}}", "$text-muted") + Content(printable(value))


def _model(record: RequestRecord) -> str:
    digest = record.model_id.startswith("sha256:")  # else it names a file, as the model does
    short = record.model_id.removeprefix("sha256:")[:12] if digest else ""
    return f"{wording.model(record)}  →  {short}" if short else wording.model(record)


def _prompt(record: RequestRecord) -> str:
    if record.prompt_tokens is None:
        return ""
    rate = ""
    fresh = record.prompt_tokens - record.cached_tokens
    if record.prompt_seconds and fresh > 0:
        rate = f"  ·  {fresh / record.prompt_seconds:,.0f} tok/s".replace(",", " ")
    known = f"  ·  {grouped(record.cached_tokens)} cached" if record.cached_tokens else ""
    return grouped(record.prompt_tokens) + known + rate


def _generated(record: RequestRecord) -> str:
    if not record.completion_tokens:
        return ""
    seconds = record.generation_seconds
    rate = f"  ·  {record.completion_tokens / seconds:.1f} tok/s" if seconds else ""
    return grouped(record.completion_tokens) + rate


def _asked(text: str) -> list[Content]:
    body = _object(text)
    if body is None:
        return [Content(""), _cut(text)]
    shown = [f"{name} {body[name]}" for name in _SHOWN if body.get(name) is not None]
    lines = [_fact("parameters", "  ".join(shown))] if shown else []
    messages = body.get("messages")
    if not isinstance(messages, list):
        rest = {name: value for name, value in body.items() if name != "model"}
        return [*lines, Content(""), _cut(_pretty(rest))]
    for name in ("tools", "response_format"):
        if body.get(name):
            lines.append(_fact(name.replace("_", " "), _brief(body[name])))
    lines.append(Content(""))
    for message in messages:
        if isinstance(message, dict):
            lines += _message(message)
    return lines


def _message(message: dict[str, Any]) -> list[Content]:
    role = str(message.get("role", ""))
    style = {"system": "$text-warning", "assistant": "$text-success"}.get(role, "$text-primary")
    head = Content.styled(printable(f"{role:<{_ROLE}}"), f"bold {style}")
    texts = [_content(message.get("content"))]
    if message.get("reasoning_content"):
        texts.insert(0, f"(thought) {message['reasoning_content']}")
    texts += [f"calls {_brief(call)}" for call in message.get("tool_calls") or []]
    whole = "\n".join(text for text in texts if text)
    first, *rest = _cut(whole).split("\n") or [Content("")]
    indent = Content(" " * _ROLE)
    return [head + first, *(indent + line for line in rest)]


def _content(content: Any) -> str:
    if isinstance(content, list):
        return "\n".join(
            str(part.get("text") or f"[{part.get('type')}]") if isinstance(part, dict) else ""
            for part in content
        )
    return "" if content is None else str(content)


def _answered(text: str) -> Content:
    body = _object(text)
    choices = body.get("choices") if body else None
    if not isinstance(choices, list) or not choices:
        return _cut(_pretty(body) if body else text)
    lines: list[Content] = []
    for choice in choices:
        if isinstance(choice, dict):
            message = choice.get("message") or {"role": "text", "content": choice.get("text")}
            lines += _message(message)
            if choice.get("finish_reason"):
                lines += [Content(""), _fact("ended by", str(choice["finish_reason"]))]
    return Content("\n").join(lines)


def _object(text: str) -> dict[str, Any] | None:
    try:
        found = msgspec.json.decode(text)
    except msgspec.DecodeError:
        return None
    return found if isinstance(found, dict) else None


def _pretty(value: Any) -> str:
    return msgspec.json.format(msgspec.json.encode(value), indent=2).decode()


def _brief(value: Any) -> str:
    text = msgspec.json.encode(value).decode()
    return text if len(text) <= 200 else f"{text[:200]}…"


def _cut(text: str) -> Content:
    over = len(text) - _MOST
    shown = Content(printable(text[:_MOST]))
    if over <= 0:
        return shown
    more = f"\n… {grouped(over)} more characters; x exports all"
    return shown + Content.styled(more, "$text-muted")
