"""From a request to the tokens of its prompt."""

from __future__ import annotations

from dmr_tui.engine.llamacpp.deadline import deadline
from dmr_tui.engine.llamacpp.model import Vocabulary
from dmr_tui.engine.request import ChatRequest, CompletionRequest, GenerateRequest
from dmr_tui.engine.text.template import ChatTemplate
from dmr_tui.errors import ContextLengthError, InvalidRequestError

RENDER_SECONDS = 10.0
"""A template that takes longer than this is taken for one that never ends."""


class PromptBuilder:
    """Knows how one loaded model wants to be asked."""

    def __init__(
        self, vocabulary: Vocabulary, template: ChatTemplate, *, context_size: int
    ) -> None:
        self._vocabulary = vocabulary
        self._template = template
        self._context_size = context_size

    def build(self, request: GenerateRequest) -> list[int]:
        """The prompt: at least one token, at most as many as the context holds.

        Raises:
            InvalidRequestError: it cannot be made.
            ContextLengthError: it is too long.
        """
        tokens = self._tokens(request)
        if not tokens:
            raise InvalidRequestError("the prompt is empty", param="prompt")
        if len(tokens) > self._context_size:
            raise ContextLengthError(
                f"the prompt has {len(tokens)} tokens, the context holds {self._context_size}",
                "shorten it, or load the model with a larger context",
                param="messages" if isinstance(request, ChatRequest) else "prompt",
            )
        return tokens

    def render(self, request: ChatRequest) -> str:
        """The text of a conversation, as the template writes it.

        Raises:
            InvalidRequestError: there is no template, or it refuses the conversation.
        """
        with deadline(RENDER_SECONDS, "the model's chat template"):
            return self._template.render(request.messages, request.template_options)

    def _tokens(self, request: GenerateRequest) -> list[int]:
        if isinstance(request, ChatRequest):
            return self._vocabulary.tokenize(self.render(request))
        if isinstance(request.prompt, str):
            return self._vocabulary.tokenize(request.prompt) or self._beginning()
        return self._checked(request)

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
