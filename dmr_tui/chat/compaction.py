"""Making room without forgetting: the model sums up the older part of a conversation."""

from __future__ import annotations

from contextlib import aclosing

from msgspec.structs import replace

from dmr_tui.chat.conversation import Conversation
from dmr_tui.chat.turn import Turn
from dmr_tui.errors import EngineError, InvalidRequestError
from dmr_tui.runner.base import Runner

_KEPT_QUESTIONS = 1
_TOKENS = 400
_PROMPT = (
    "Summarize our conversation so far, so that it can go on from your summary alone. Keep facts,"
    " names, numbers, decisions, open questions and code that is still needed. Write short notes,"
    " in the language of the conversation, and nothing else."
)


async def compact(conversation: Conversation, runner: Runner) -> int:
    """Let the model sum up all but the last question and its answer, which stay as they are.

    The older messages remain in the conversation; they are only no longer sent.

    Returns:
        How many messages the summary stands for that were still sent before.

    Raises:
        InvalidRequestError: there is nothing to sum up.
        EngineError: the model wrote no summary.
        DmrError: as `Runner.generate` says.
    """
    sent = conversation.sent()
    questions = [node for node in sent if node.role == "user"]
    if len(questions) <= _KEPT_QUESTIONS:
        raise InvalidRequestError("There is nothing to sum up yet: the last turn is kept whole")
    kept = questions[-_KEPT_QUESTIONS]
    older = conversation.fork(kept.parent)
    older.limits = replace(conversation.limits, max_tokens=_TOKENS, stop=[])
    older.template_options = {**conversation.template_options, "enable_thinking": False}
    turn = Turn(older, runner, _PROMPT)
    async with aclosing(turn.stream()) as events:
        async for _ in events:
            pass
    summary = turn.text.strip()
    if not summary:
        raise EngineError("the model wrote no summary", "ask again, or go on as it is")
    conversation.summary = summary
    conversation.kept_from = kept.id
    conversation.resized = True
    return sent.index(kept)
