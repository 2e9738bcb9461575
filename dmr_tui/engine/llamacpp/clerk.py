"""Answers what needs the vocabulary and the template of a model, but no computation."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from dmr_tui.engine.llamacpp.length import MOST_CHARACTERS
from dmr_tui.engine.llamacpp.model import Vocabulary
from dmr_tui.engine.questions import (
    AnyQuestion,
    AnyReply,
    DetokenizeQuestion,
    EmbedQuestion,
    Props,
    PropsQuestion,
    TemplateQuestion,
    Text,
    TokenizeQuestion,
    Tokens,
)
from dmr_tui.errors import InvalidRequestError

if TYPE_CHECKING:
    from dmr_tui.engine.llamacpp.prompt import PromptBuilder


class Clerk:
    """Answers questions about one loaded model."""

    def __init__(
        self, vocabulary: Vocabulary, props: Props, prompts: Callable[[], PromptBuilder] | None
    ) -> None:
        """Take what the answers come from.

        Args:
            vocabulary: of the model.
            props: of the model.
            prompts: gives the one that knows the chat template; None for a model without chats.
        """
        self._vocabulary = vocabulary
        self._props = props
        self._prompts = prompts

    def answer(self, question: AnyQuestion) -> AnyReply:
        """The reply.

        Raises:
            InvalidRequestError: the question makes no sense, or not for this model.
        """
        match question:
            case TokenizeQuestion():
                return self._tokenize(question)
            case DetokenizeQuestion(tokens):
                return Text(self._vocabulary.join(tokens))
            case TemplateQuestion(request):
                if self._prompts is None:
                    raise InvalidRequestError("this model has no chat template: it cannot chat")
                return Text(self._prompts().render(request))
            case PropsQuestion():
                return self._props
        wanted = "embedding" if isinstance(question, EmbedQuestion) else "reranking"
        raise InvalidRequestError(
            f"this model is for {self._props.mode}, not for {wanted}",
            f"pull one that was made for {wanted}",
            param="model",
        )

    def _tokenize(self, question: TokenizeQuestion) -> Tokens:
        parts = [question.text] if isinstance(question.text, str) else question.text
        length = sum(len(part) for part in parts if isinstance(part, str))
        if length > MOST_CHARACTERS:
            raise InvalidRequestError(
                f"content: at most {MOST_CHARACTERS} characters are allowed, not {length}",
                "send it in parts",
                param="content",
            )
        tokens: list[int] = []
        for at, part in enumerate(parts):
            if isinstance(part, int):
                tokens += self._vocabulary.checked([part], "content")
                continue
            tokens += self._vocabulary.encode(
                part,
                add_special=question.add_special and at == 0,
                parse_special=question.parse_special,
            )
        return Tokens(tokens, [self._vocabulary.text(token) for token in tokens])
