"""Train the network on two CPU cores.

    python -m guide.train build/guide [--steps 13000]

The number of steps is fixed, so that the same seeds give the same model; the checkpoint in the
folder lets a run that was ended go on.
"""

from __future__ import annotations

import argparse
import random
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from guide.batches import PARTS, Batch, batches
from guide.corpus import dialogues, fixed_answers, questions
from guide.export import export
from guide.muon import Muon
from guide.network import HALF_IS_FAST, Llama, Shape
from guide.tokenizer import Tokenizer, learn

SEED = 20
STEPS = 13_000
QUESTIONS_FIRST = 0.35
"""Share of the steps in which only questions are learned, and which answer they want.

Such rows are short: each minute brings four times as many questions as whole dialogues do."""
REFINING = 0.5
"""So many more steps at the end, for each before them, take questions beside dialogues: as they are
written, with none of their words changed. A network so small else never gets them all right."""
REFINING_RATE = 0.5
"""Their first rate, against the one before; it goes down to nothing."""
BESIDE = 0.35
"""Share of these steps that have questions in one of their batches. With many more of them the
network forgets how to copy and to spell: to name an answer it does not need the letters."""
TOKENS_PER_STEP = 4096
TOKENS_BESIDE = 5120
"""The same of steps that have questions beside dialogues, of either kind: each has half of both."""
WARM_UP = 40
COOL_DOWN = 0.4
"""Share of the steps in which the rate goes down."""
MATRIX_RATE = 0.006
OTHER_RATE = 0.003
WEIGHT_DECAY = 0.05
MEANING_WEIGHT = 2.0
"""What telling the answers apart counts, against 1 for a token of an answer."""
SMOOTHING = 0.05
_LEARN_FROM = 40_000
_SAVE_EVERY = 100
_REPORT_EVERY = 20


class Training:
    """The network, its optimizer, and how far they have come."""

    def __init__(self, tokenizer: Tokenizer, steps: int) -> None:
        torch.manual_seed(SEED)
        self.tokenizer = tokenizer
        self.steps = steps
        self.all_steps = steps + round(steps * REFINING)
        self.step = 0
        self.network = Llama(Shape())
        self._weights = [*self.network.parameters()]
        # One thread a core, each with batches of its own: kernels that share their work among
        # threads would wait for each other, and a busy machine makes that wait long.
        self._pool = ThreadPoolExecutor(PARTS, initializer=torch.set_num_threads, initargs=(1,))
        # Compiled it takes two thirds of the time: most of it goes to small steps between matrices.
        self._loss = torch.compile(self._loss_of, dynamic=True)
        self._muon, self._adam = self._optimizers()

    def run(self, folder: Path) -> None:
        """Take the remaining steps; a checkpoint in `folder` is the place to go on from."""
        checkpoint = folder / "checkpoint.pt"
        if checkpoint.exists():
            self._load(checkpoint)
        began = time.monotonic()
        source = islice(self._batches(), self.step, self.all_steps)
        losses: list[float] = []
        seen = 0
        for batch in source:
            if self.step == self.steps:
                self._muon, self._adam = self._optimizers()
            losses.append(self._take_step(batch))
            seen += sum(part.tokens.numel() for part in batch)
            if self.step % _REPORT_EVERY == 0:
                seconds = time.monotonic() - began
                print(
                    f"step {self.step}/{self.all_steps}  loss {sum(losses) / len(losses):.4f}  "
                    f"{seen / seconds:.0f} tokens/s  {seconds:.0f} s",
                    flush=True,
                )
                losses.clear()
            if self.step % _SAVE_EVERY == 0:
                self._save(checkpoint)
        self._save(checkpoint)

    def _batches(self) -> Iterator[list[Batch]]:
        """Questions first, then dialogues, then both."""
        rng = random.Random(SEED)
        first = batches(questions(SEED + 2), self.tokenizer, rng, TOKENS_PER_STEP, briefly=True)
        questions_first = round(self.steps * QUESTIONS_FIRST)
        yield from islice(first, questions_first)
        then = batches(dialogues(SEED), self.tokenizer, rng, TOKENS_PER_STEP)
        yield from islice(then, self.steps - questions_first)
        yield from self._refining()

    def _refining(self) -> Iterator[list[Batch]]:
        """Steps of dialogues, and of a batch of questions and one of dialogues each."""
        rng = random.Random(SEED + 3)
        plain = questions(SEED + 4, plain=True)
        asked = batches(plain, self.tokenizer, rng, TOKENS_BESIDE, briefly=True, plain=True)
        beside = batches(dialogues(SEED + 5), self.tokenizer, rng, TOKENS_BESIDE)
        alone = batches(dialogues(SEED + 6), self.tokenizer, rng, TOKENS_PER_STEP)
        while True:
            if rng.random() < BESIDE:
                yield from map(list, zip(next(asked), next(beside), strict=True))
            else:
                yield from islice(alone, PARTS)

    def _take_step(self, parts: list[Batch]) -> float:
        total = sum(float(part.weights.sum()) for part in parts)
        done = list(self._pool.map(lambda part: self._gradients(part, total), parts))
        for weight, *gradients in zip(self._weights, *(each for _, each in done), strict=True):
            weight.grad = torch.stack(gradients).sum(0)
        nn.utils.clip_grad_norm_(self._weights, 1.0)
        share = self._share()
        self._adam.param_groups[0]["lr"] = OTHER_RATE * share
        self._adam.step()
        self._muon.step(share)
        self.step += 1
        return sum(loss for loss, _ in done)

    def _gradients(self, part: Batch, total: float) -> tuple[float, tuple[Tensor, ...]]:
        loss = self._loss(part) / total
        return float(loss.detach()), torch.autograd.grad(loss, self._weights)

    def _loss_of(self, part: Batch) -> Tensor:
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=HALF_IS_FAST):
            found = self.network(part.tokens)
            logits = self.network.logits(found[part.places])
            sorted_ = self.network.logits(found[part.turns], self.tokenizer.answer(0))
        losses = F.cross_entropy(logits.float(), part.targets, reduction="none")
        meant = F.cross_entropy(
            sorted_.float(), part.meanings, reduction="none", label_smoothing=SMOOTHING
        )
        return (losses * part.weights).sum() + MEANING_WEIGHT * (meant * part.shares).sum()

    def _optimizers(self) -> tuple[Muon, torch.optim.AdamW]:
        """New ones, for the matrices and for the rest."""
        matrices = [
            weight
            for name, weight in self.network.named_parameters()
            if weight.dim() == 2 and not name.startswith("embedding")
        ]
        others = [self.network.embedding.weight]
        others += [weight for weight in self._weights if weight.dim() == 1]
        adam = torch.optim.AdamW(others, lr=OTHER_RATE, betas=(0.9, 0.98), weight_decay=0.0)
        return Muon(matrices, MATRIX_RATE, WEIGHT_DECAY, self._pool), adam

    def _share(self) -> float:
        """The rate's schedule: up, level, down to nearly nothing; at the end once more, lower."""
        if self.step >= self.steps:
            done = self.step - self.steps
            left = 1 - done / (self.all_steps - self.steps)
            return REFINING_RATE * min((done + 1) / WARM_UP, 1.0) * max(left, 0.01)
        up = (self.step + 1) / WARM_UP
        down = (self.steps - self.step) / (self.steps * COOL_DOWN)
        return min(up, 1.0, max(down, 0.01))

    def _save(self, checkpoint: Path) -> None:
        state = {
            "step": self.step,
            "network": self.network.state_dict(),
            "muon": self._muon.momentum,
            "adam": self._adam.state_dict(),
        }
        half = checkpoint.with_suffix(".half")
        torch.save(state, half)
        half.replace(checkpoint)

    def _load(self, checkpoint: Path) -> None:
        state = torch.load(checkpoint, weights_only=True)
        self.step = state["step"]
        self.network.load_state_dict(state["network"])
        self._muon.momentum = state["muon"]
        self._adam.load_state_dict(state["adam"])


def learn_tokenizer() -> Tokenizer:
    """The tokenizer, learned from the first dialogues."""
    texts = (
        text
        for dialogue in islice(dialogues(SEED + 1), _LEARN_FROM)
        for exchange in dialogue.exchanges
        for text in (exchange.question, exchange.answer)
    )
    return learn(texts, Shape().vocabulary, len(fixed_answers()))


def main() -> None:
    """Train, and write the GGUF."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path, help="for the checkpoint and the GGUF")
    parser.add_argument("--steps", type=int, default=STEPS, help="fewer make a worse model")
    asked = parser.parse_args()
    asked.folder.mkdir(parents=True, exist_ok=True)
    torch.set_num_threads(1)
    training = Training(learn_tokenizer(), asked.steps)
    training.run(asked.folder)
    export(training.network, training.tokenizer, asked.folder / "guide.gguf")


if __name__ == "__main__":
    main()
