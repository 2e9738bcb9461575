"""How the next token is drawn: llama.cpp's sampler chains, one for each sequence."""

from __future__ import annotations

from collections.abc import Sequence

from dmr_tui.engine.llamacpp.chain import Chain
from dmr_tui.engine.llamacpp.constraint import Candidates, Constraint, choose
from dmr_tui.engine.llamacpp.context import Context
from dmr_tui.engine.llamacpp.native import llama
from dmr_tui.engine.request import Sampling
from dmr_tui.errors import InvalidRequestError


class Sampler:
    """Draws the tokens of one sequence. It holds native memory until `close`."""

    def __init__(
        self,
        sampling: Sampling,
        *,
        context: Context,
        prompt: Sequence[int],
        constraint: Constraint | None = None,
        candidates: Candidates | None = None,
    ) -> None:
        """Build the chain.

        Args:
            sampling: what was asked; None means the default.
            context: whose logits are sampled.
            prompt: counts for the penalties as if it had been drawn.
            constraint: what the answer is held to; from now on this object's to close.
            candidates: room for the vocabulary, needed with a constraint.

        Raises:
            InvalidRequestError: what was asked does not suit the model.
        """
        self._constraint = constraint
        self._candidates = candidates
        self._context = context.handle
        try:
            chain = Chain(sampling, context.vocabulary, context.size)
        except InvalidRequestError:
            if constraint is not None:
                constraint.close()
            raise
        self._chain = chain.handle
        for token in prompt[-chain.window :] if chain.window else ():
            llama.llama_sampler_accept(self._chain, token)

    def sample(self, index: int) -> int | None:
        """Draw from the logits of a batch's token and remember what was drawn.

        Returns:
            None when the vocabulary has no token that the constraint allows.
        """
        if self._constraint is None or self._candidates is None:
            return int(llama.llama_sampler_sample(self._chain, self._context, index))
        logits = llama.llama_get_logits_ith(self._context, index)
        token = choose(self._candidates, logits, self._chain, self._constraint)
        if token is not None:
            self.accept(token)
        return token

    def constrain(self, constraint: Constraint, candidates: Candidates) -> None:
        """Hold the rest of the answer to something; see `__init__`."""
        self._constraint, self._candidates = constraint, candidates

    def allows(self, token: int) -> bool:
        """Whether the answer may go on with a token that was not drawn."""
        return self._constraint is None or self._constraint.allows(token)

    def accept(self, token: int) -> None:
        """Remember a token of the answer."""
        llama.llama_sampler_accept(self._chain, token)
        if self._constraint is not None:
            self._constraint.accept(token)

    def close(self) -> None:
        """Free the chain; it must not be used again."""
        llama.llama_sampler_free(self._chain)
        self._chain = None
        if self._constraint is not None:
            self._constraint.close()
