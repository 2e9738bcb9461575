"""How the model answers, in a pane: the system prompt and the parameters, checked as one types."""

from __future__ import annotations

from dataclasses import dataclass

from textual import on
from textual.app import ComposeResult
from textual.containers import Horizontal, VerticalScroll
from textual.content import Content
from textual.message import Message
from textual.widgets import Input, Static, TextArea

from dmr_tui.chat.conversation import Conversation
from dmr_tui.chat.parameters import PARAMETERS, find_parameter
from dmr_tui.errors import InvalidRequestError

_THINKING = {True: "on", False: "off", None: "auto"}
_OWN = "model's own"


class ParametersPane(VerticalScroll, can_focus=False):
    """A field for each parameter. What is changed is said as a slash command, which does it."""

    @dataclass
    class Changed(Message):
        """A field holds another value, which is good.

        Attributes:
            command: the slash command that sets it.
        """

        command: str

    def __init__(self) -> None:
        """A pane that is not shown yet."""
        super().__init__(id="parameters")
        self._shown: dict[str, str] = {}
        self._wrong = ""

    def compose(self) -> ComposeResult:
        """The system prompt, then the parameters."""
        yield Static("System prompt", classes="label")
        system = TextArea(id="system", show_line_numbers=False, compact=True, tab_behavior="focus")
        yield system
        for name in ("think", *(each.name for each in PARAMETERS)):
            with Horizontal(classes="field"):
                yield Static(name, classes="name")
                yield Input(id=f"field-{name}", compact=True, placeholder=_placeholder(name))
        yield Static(id="word")

    def show(self, conversation: Conversation) -> None:
        """Show what is set in a conversation; a field that is being filled in stays."""
        thinking = conversation.template_options.get("enable_thinking")
        self._shown = {
            "think": "" if thinking is None else _THINKING[thinking],
            **{each.name: each.written(conversation) for each in PARAMETERS},
            "system": conversation.system or "",
        }
        for name, value in self._shown.items():
            if name == "system":
                area = self.query_one("#system", TextArea)
                if not area.has_focus and area.text != value:
                    area.text = value
            else:
                field = self.query_one(f"#field-{name}", Input)
                if not field.has_focus and field.value != value:
                    field.value = value
                    field.set_class(False, "wrong")

    def refuse(self, problem: str) -> None:
        """Say why a value was not taken."""
        self._problem(problem)

    @on(Input.Changed)
    def _checked(self, event: Input.Changed) -> None:
        event.stop()
        problem = _check(_name(event.input), event.value.strip())
        event.input.set_class(bool(problem), "wrong")
        if event.input.has_focus:
            self._problem(problem)

    @on(Input.Submitted)
    def _submitted(self, event: Input.Submitted) -> None:
        event.stop()
        if problem := _check(_name(event.input), event.value.strip()):
            self._problem(problem)
            return
        self._commit(event.input)
        self.screen.focus_next()

    @on(Input.Blurred)
    def _blurred(self, event: Input.Blurred) -> None:
        self._commit(event.input)

    def on_descendant_focus(self) -> None:
        """Say what the field means."""
        focused = self.screen.focused
        meaning = ""
        if isinstance(focused, Input) and (focused.id or "").startswith("field-"):
            meaning = _meaning(_name(focused))
            self._problem(_check(_name(focused), focused.value.strip()))
        elif focused is not None and focused.id == "system":
            meaning = "How the model should behave; it is sent before the first message."
        if not self._wrong:
            self._word(meaning, "$text-muted")

    def on_descendant_blur(self) -> None:
        """The system prompt is taken when one leaves it."""
        text = self.query_one("#system", TextArea).text.strip()
        if text != self._shown.get("system", text):
            self._shown["system"] = text
            self.post_message(self.Changed(f"/set system {text or 'default'}"))

    def _commit(self, field: Input) -> None:
        """Let a good value be set; a bad one stays in its field, which says so."""
        name, value = _name(field), field.value.strip()
        if value == self._shown.get(name, value) or _check(name, value):
            return
        self._shown[name] = value
        if name == "think":
            self.post_message(self.Changed(f"/think {value or 'auto'}"))
        else:
            self.post_message(self.Changed(f"/set parameter {name} {value or 'default'}"))

    def _problem(self, text: str) -> None:
        """Say what is wrong with the field; nothing: say what it means."""
        self._wrong = text
        focused = self.screen.focused
        if text:
            self._word(text, "$text-error")
        elif isinstance(focused, Input) and (focused.id or "").startswith("field-"):
            self._word(_meaning(_name(focused)), "$text-muted")

    def _word(self, text: str, style: str) -> None:
        self.query_one("#word", Static).update(Content.styled(text, style))


def _name(field: Input) -> str:
    return (field.id or "").removeprefix("field-")


def _placeholder(name: str) -> str:
    return "on/off/auto" if name == "think" else _OWN


def _meaning(name: str) -> str:
    if name == "think":
        return "Whether the model thinks before it answers; auto: as it likes."
    text = find_parameter(name).summary
    return f"{text[0].upper()}{text[1:]}."


def _check(name: str, value: str) -> str:
    """What is wrong with a value; empty: nothing."""
    if not value:
        return ""
    if name == "think":
        return "" if value in _THINKING.values() else "think must be auto, on or off."
    try:
        find_parameter(name).parse(value)
    except InvalidRequestError as error:
        return error.message
    return ""
