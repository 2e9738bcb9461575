"""From a request to the tokens of its prompt."""

from __future__ import annotations

from dataclasses import dataclass

from dmr_tui.engine.llamacpp.deadline import deadline
from dmr_tui.engine.llamacpp.length import too_many
from dmr_tui.engine.llamacpp.model import Vocabulary
from dmr_tui.engine.request import ChatRequest, CompletionRequest, GenerateRequest
from dmr_tui.engine.text.plan import (
    AnswerPlan,
    continued,
    plan_chat,
    plan_completion,
    template_input,
)
from dmr_tui.engine.text.template import ChatTemplate
from dmr_tui.engine.text.tools.families import knows_tools
from dmr_tui.errors import ContextLengthError, InvalidRequestError

RENDER_SECONDS = 10.0
"""A template that takes longer than this is taken for one that never ends."""


@dataclass(frozen=True)
class Prompt:
    """What a model reads, and how what it then writes is to be read."""

    tokens: list[int]
    plan: AnswerPlan
    own_beginning: bool = False
    """The first token is the model's mark of a beginning, which nobody has written."""


class PromptBuilder:
    """Knows how one loaded model wants to be asked."""

    def __init__(
        self,
        vocabulary: Vocabulary,
        template: ChatTemplate,
        *,
        context_size: int,
        tool_template: ChatTemplate | None = None,
    ) -> None:
        """Keep what is known.

        Args:
            vocabulary: the model's.
            template: for conversations.
            context_size: tokens that a prompt may have.
            tool_template: for those with tools, if the model has another one.
        """
        self._vocabulary = vocabulary
        self._template = template
        if tool_template is None or not knows_tools(tool_template.source):
            tool_template = template
        self._tool_template = tool_template
        self._context_size = context_size

    def build(self, request: GenerateRequest) -> Prompt:
        """The prompt: at least one token, at most as many as the context holds.

        Raises:
            InvalidRequestError: it cannot be made.
            ContextLengthError: it is too long.
        """
        prompt = self._prompt(request)
        tokens = prompt.tokens
        if not tokens:
            raise InvalidRequestError("the prompt is empty", param="prompt")
        if len(tokens) > self._context_size:
            param = "messages" if isinstance(request, ChatRequest) else "prompt"
            raise self._too_long(str(len(tokens)), param)
        return prompt

    def _too_long(self, tokens: str, param: str) -> ContextLengthError:
        what = "suffix" if param == "suffix" else "prompt"
        return ContextLengthError(
            f"the {what} has {tokens} tokens, the context holds {self._context_size}",
            "shorten it, or load the model with a larger context",
            param=param,
        )

    def render(self, request: ChatRequest) -> str:
        """The text of a conversation, as the template writes it.

        Raises:
            InvalidRequestError: there is no template, or it refuses the conversation.
        """
        template = self._template_for(request)
        messages, options = template_input(request, template.source)
        with deadline(RENDER_SECONDS, "the model's chat template"):
            prompt = template.render(messages, options)
        return continued(request, template.source, prompt)

    def _template_for(self, request: ChatRequest) -> ChatTemplate:
        """Templates for tools fail where there are none."""
        told = bool(request.tools) and request.tool_choice != "none"
        return self._tool_template if told else self._template

    def _prompt(self, request: GenerateRequest) -> Prompt:
        if isinstance(request, ChatRequest):
            text = self.render(request)
            plan = plan_chat(request, self._template_for(request).source, text)
            return Prompt(self._tokenize(text, "messages"), plan)
        plan = plan_completion(request.format)
        if request.suffix is not None:
            return Prompt(self._infill(request, request.suffix), plan)
        if isinstance(request.prompt, str):
            tokens = self._tokenize(request.prompt, "prompt") or self._beginning()
            return Prompt(tokens, plan, own_beginning=self._begins_by_itself(request, tokens))
        return Prompt(self._checked(request), plan)

    def _tokenize(self, text: str, param: str, *, beginning: bool = True) -> list[int]:
        """Tokens of a text; of one that is much too long only the beginning is looked at.

        Megabytes would take seconds, in which no other request goes on.

        Raises:
            ContextLengthError: it is too long.
        """
        count = too_many(self._vocabulary, text, self._context_size)
        if count is not None:
            raise self._too_long(f"at least {count}", param)
        return self._vocabulary.tokenize(text, beginning=beginning)

    def _infill(self, request: CompletionRequest, suffix: str) -> list[int]:
        """A prompt between whose two texts the answer belongs."""
        marks = self._vocabulary.infill_marks
        if marks is None:
            raise InvalidRequestError(
                "suffix: this model knows no marks for text that comes after the answer",
                param="suffix",
            )
        if isinstance(request.prompt, str):
            before = self._tokenize(request.prompt, "prompt", beginning=False)
        else:
            before = self._checked(request)
        after = self._tokenize(suffix, "suffix", beginning=False)
        prefix_mark, suffix_mark, middle_mark = marks
        tokens = [prefix_mark, *before, suffix_mark, *after, middle_mark]
        return [*self._beginning(), *tokens] if self._vocabulary.adds_bos else tokens

    def _begins_by_itself(self, request: CompletionRequest, tokens: list[int]) -> bool:
        if not request.prompt_logprobs or tokens[:1] != self._beginning():
            return False
        return len(self._vocabulary.encode(str(request.prompt))) < len(tokens)

    def _beginning(self) -> list[int]:
        """What a text that continues nothing starts from."""
        return [] if self._vocabulary.bos is None else [self._vocabulary.bos]

    def _checked(self, request: CompletionRequest) -> list[int]:
        for token in request.prompt:
            if not (isinstance(token, int) and 0 <= token < self._vocabulary.size):
                raise InvalidRequestError(
                    f"token {token!r} is not one of the model's {self._vocabulary.size}",
                    param="prompt",
                )
        return [int(token) for token in request.prompt]
