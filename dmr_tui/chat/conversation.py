"""A conversation with one model: what was said, and how answers are drawn."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import Any

from dmr_tui.chat.tree import Node, new_id, new_root, text_of
from dmr_tui.engine.profile import Profile
from dmr_tui.engine.request import ChatRequest, ContentPart, Limits, Message, Sampling
from dmr_tui.errors import InvalidRequestError

_TITLE_WIDTH = 48
_SYSTEM = ("system", "developer")


@dataclass
class Conversation:
    """Plain data with one owner: the REPL, or a chat screen.

    What was said is a tree; `path` is the branch that is shown and sent. Only `user` and
    `assistant` speak in it.

    Attributes:
        model: name of the model that answers; may change between turns.
        system: instructions that come before the first turn; None: none.
        sampling: how tokens are drawn; unset fields leave it to the model's profile.
        limits: when an answer ends.
        profile: how the model is loaded when a turn of this conversation loads it.
        template_options: variables for the model's chat template, such as `enable_thinking`.
        title: how it is listed; the beginning of the first question unless a person named it.
        id: names it in saved chats.
        origin: id of the conversation that this one was forked from.
        created: Unix time, seconds.
        summary: stands for what came before `kept_from`; empty: nothing does.
        kept_from: id of the first message that is still sent; None: all are.
        tokens_per_byte: measured on the last prompt, for estimates; 0: not yet.
        resized: the context was changed since the last answer counted it.
        opened: it comes from the saved chats: how it is set up may be long forgotten.
        root: where the tree begins; no message itself.
        unsaved: messages that have changed since `Sessions.save`, by id.
        dropped: ids of messages that are gone since then.
    """

    model: str
    system: str | None = None
    sampling: Sampling = field(default_factory=Sampling)
    limits: Limits = field(default_factory=Limits)
    profile: Profile = field(default_factory=Profile)
    template_options: dict[str, Any] = field(default_factory=dict)
    title: str = ""
    id: str = field(default_factory=new_id, compare=False)
    origin: str = field(default="", compare=False)
    created: float = field(default_factory=time.time, compare=False)
    summary: str = ""
    kept_from: str | None = None
    tokens_per_byte: float = field(default=0.0, compare=False)
    resized: bool = field(default=False, compare=False)
    opened: bool = field(default=False, compare=False)
    root: Node = field(default_factory=new_root, compare=False, repr=False)
    unsaved: dict[str, Node] = field(default_factory=dict, compare=False, repr=False)
    dropped: set[str] = field(default_factory=set, compare=False, repr=False)

    # What is there.

    @property
    def path(self) -> list[Node]:
        """The messages on the branch that is shown, oldest first."""
        return list(self.root.follow())[1:]

    @property
    def turns(self) -> list[Message]:
        """What user and assistant said on that branch, oldest first."""
        return [node.message for node in self.path]

    @property
    def tip(self) -> Node:
        """The last message of the path; the root of an empty one."""
        *_, last = self.root.follow()
        return last

    @property
    def questions(self) -> list[Node]:
        """The user's messages on the path."""
        return [node for node in self.path if node.role == "user"]

    @property
    def answers(self) -> list[Node]:
        """The model's messages on the path."""
        return [node for node in self.path if node.role == "assistant"]

    def question(self, number: int | None = None) -> Node:
        """The n-th question of the path, counted from 1; None: the last one.

        Raises:
            InvalidRequestError: there is none of that number.
        """
        questions = self.questions
        if not questions:
            raise InvalidRequestError("Nothing was asked yet")
        if number is None:
            return questions[-1]
        if not 1 <= number <= len(questions):
            raise InvalidRequestError(f"There is no question {number}; there are {len(questions)}")
        return questions[number - 1]

    # What is sent.

    def sent(self) -> list[Node]:
        """The messages of the path that are part of the next request."""
        path = self.path
        first = next((at for at, node in enumerate(path) if node.id == self.kept_from), 0)
        return path[first:]

    def instructions(self) -> str:
        """The system message of the next request, a summary of what is no longer sent in it."""
        summary = self.summary if len(self.sent()) < len(self.path) else ""
        before = f"Summary of the conversation so far:\n{summary}" if summary else ""
        return "\n\n".join(filter(None, (self.system, before)))

    def request(self) -> ChatRequest:
        """What a model is given to answer the last question.

        The thoughts of earlier answers stay behind: models are trained without them, and they
        would fill the context.
        """
        instructions = self.instructions()
        system = [Message("system", instructions)] if instructions else []
        said = [Message(node.role, node.message.content) for node in self.sent()]
        return ChatRequest(system + said, self.sampling, self.limits, self.template_options)

    # What is said.

    def ask(
        self,
        text: str,
        content: str | list[ContentPart] | None = None,
        *,
        replaces: Node | None = None,
    ) -> ChatRequest:
        """Add the user's turn and return the request that answers it.

        Args:
            text: what was typed.
            content: what is sent where that differs: files and images in it.
            replaces: an earlier question that this one is a new version of; both are kept.
        """
        before = self.tip if replaces is None or replaces.parent is None else replaces.parent
        message = Message("user", text if content is None else content)
        node = before.add(Node(message, typed="" if message.content == text else text))
        before.choose()
        self.touch(node)
        if not self.title:
            self.title = title_of(text)
        return self.request()

    def ask_again(self, question: Node) -> ChatRequest:
        """End the path at a question, so that its next answer is a new version."""
        question.choose()
        question.chosen = None
        return self.request()

    def answer(self, text: str, reasoning: str = "", *, to: Node | None = None) -> Node:
        """Add the assistant's turn; a stopped answer is kept as far as it came.

        Args:
            text: what was answered.
            reasoning: the thoughts before it.
            to: the question; None: the last message of the path.
        """
        message = Message("assistant", text, reasoning_content=reasoning or None)
        node = (to or self.tip).add(Node(message, model=self.model))
        self.touch(node)
        return node

    def rewrite(self, answer: Node, text: str) -> Node:
        """Let an answer have another version, worded by a person; the path goes on from it."""
        assert answer.parent is not None
        message = Message("assistant", text, reasoning_content=answer.reasoning or None)
        node = answer.parent.add(Node(message, model=answer.model))
        answer.parent.choose()
        self.touch(node)
        return node

    def touch(self, node: Node) -> None:
        """Note that a message has changed and is to be saved."""
        self.unsaved[node.id] = node

    def withdraw(self, node: Node) -> None:
        """Remove a message and all that follows it, for good."""
        for each in node.everything():
            self.unsaved.pop(each.id, None)
            self.dropped.add(each.id)
        node.remove()

    def take_back(self) -> str | None:
        """End the path before its last question; returns its text, None without one.

        The question and its answers stay in the tree: asking anew makes another version.
        """
        questions = self.questions
        if not questions:
            return None
        last = questions[-1]
        if last.parent is not None:
            last.parent.chosen = None
        return last.text

    def clear(self) -> None:
        """Begin a new conversation; the system message and the parameters stay."""
        self.root, self.id, self.created = new_root(), new_id(), time.time()
        self.title = self.origin = self.summary = ""
        self.kept_from, self.resized = None, False
        self.unsaved, self.dropped = {}, set()

    def following(self) -> Conversation:
        """A new conversation to begin after this one.

        It is set up like this one only if that was done just now, not in a saved chat once.
        """
        return Conversation(self.model) if self.opened else self.fresh()

    def fresh(self) -> Conversation:
        """A new conversation that is set up like this one."""
        return Conversation(
            self.model,
            self.system,
            self.sampling,
            self.limits,
            self.profile,
            dict(self.template_options),
        )

    @classmethod
    def from_request(cls, model: str, request: ChatRequest) -> Conversation:
        """A new conversation of what somebody has asked a model: messages and parameters.

        Only `user` and `assistant` speak in a conversation: a tool's result becomes the user's
        words, and what holds no text, such as a tool call, is left out.
        """
        conversation = cls(
            model,
            "\n\n".join(text_of(each) for each in request.messages if each.role in _SYSTEM) or None,
            request.sampling,
            request.limits,
            template_options=dict(request.template_options),
        )
        at = conversation.root
        for message in request.messages:
            if message.role in _SYSTEM or not message.content:
                continue
            role = "assistant" if message.role == "assistant" else "user"
            thoughts = message.reasoning_content if role == "assistant" else None
            said = Message(role, message.content, reasoning_content=thoughts)
            at = at.add(Node(said, model=model if role == "assistant" else ""))
            conversation.touch(at)
        if questions := conversation.questions:
            conversation.title = title_of(questions[0].text)
        return conversation

    def fork(self, last: Node | None = None) -> Conversation:
        """A new conversation that begins with a copy of the path.

        Args:
            last: where the copy ends; None: at the end of the path.
        """
        copy = self.fresh()
        copy.title, copy.origin, copy.summary = self.title, self.id, self.summary
        copy.tokens_per_byte, copy.opened = self.tokens_per_byte, self.opened
        at = copy.root
        for node in self.path:
            at = at.add(
                Node(
                    node.message, typed=node.typed, model=node.model, created=node.created,
                    stats=node.stats, stopped=node.stopped,
                )
            )  # fmt: skip
            copy.touch(at)
            if node.id == self.kept_from:
                copy.kept_from = at.id
            if node is last:
                break
        return copy


def title_of(text: str) -> str:
    """A title from the beginning of a text: its first line, cut between words."""
    line = next((line for line in text.splitlines() if line.strip()), "")
    line = " ".join(line.split())
    if len(line) <= _TITLE_WIDTH:
        return line
    cut = line[: _TITLE_WIDTH - 1]
    whole = cut.rpartition(" ")[0]
    # A language without blanks, or one very long word, is cut where it must be.
    return (whole if len(whole) > _TITLE_WIDTH // 2 else cut).rstrip(" ,;:.") + "…"
