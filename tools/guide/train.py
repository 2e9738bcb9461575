"""Train the network on two CPU cores.

    python -m guide.train build/guide                learn what is new, from the base on
    python -m guide.train build/base --from-nothing  make another base, in hours

The number of steps is fixed, so that the same seeds give the same model; the checkpoint in the
folder lets a run that was ended go on.
"""

from __future__ import annotations

import argparse
import random
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from guide.batches import PARTS, Batch, batches, encode, encode_question
from guide.corpus import dialogues, fixed_answers, questions
from guide.export import export
from guide.load import load
from guide.muon import Muon
from guide.network import HALF_IS_FAST, Llama, Shape
from guide.tokenizer import Tokenizer, learn
from guide.vocabulary import BASE

SEED = 20
BESIDE = 0.5
"""Share of the steps with dialogues that have questions in one of their batches. With many more the
network forgets how to copy and to spell: to name an answer it does not need the letters."""
TOKENS_PER_STEP = 4096
TOKENS_BESIDE = 5120
"""The same of steps that have questions beside dialogues: each has half of both."""
WARM_UP = 40
MATRIX_RATE = 0.006
WEIGHT_DECAY = 0.05
MEANING_WEIGHT = 2.0
"""What telling the answers apart counts, against 1 for a token of an answer."""
SMOOTHING = 0.05
_LEARN_FROM = 40_000
_SAVE_EVERY = 100
_REPORT_EVERY = 20


def bare_questions(tokenizer: Tokenizer, seed: int) -> Iterator[list[Batch]]:
    """Steps of questions without the headers of their turns."""
    rng = random.Random(seed)
    rows = (encode_question(*each, tokenizer, rng, bare=True) for each in questions(seed))
    return batches(rows, rng, TOKENS_PER_STEP)


def everything(tokenizer: Tokenizer, seed: int) -> Iterator[list[Batch]]:
    """Steps of dialogues, and of a batch of questions and one of dialogues each."""
    rng = random.Random(seed)
    asked = (encode_question(*each, tokenizer, rng) for each in questions(seed))
    said = (encode(each, tokenizer, rng) for each in dialogues(seed + 1))
    also = (encode(each, tokenizer, rng) for each in dialogues(seed + 2))
    single, beside = (batches(rows, rng, TOKENS_BESIDE) for rows in (asked, said))
    alone = batches(also, rng, TOKENS_PER_STEP)
    while True:
        if rng.random() < BESIDE:
            yield from map(list, zip(next(single), next(beside), strict=True))
        else:
            yield from islice(alone, PARTS)


@dataclass(frozen=True)
class Stage:
    """Some steps of one kind.

    Attributes:
        layers: that the network has in them.
        steps: how many.
        batches: makes what is learned, with a tokenizer and a seed.
        rates: at the begin and at the end, as shares of the full rate.
        embedding_rate: the full rate of the embedding, and of what is no matrix.
    """

    layers: int
    steps: int
    batches: Callable[[Tokenizer, int], Iterator[list[Batch]]]
    rates: tuple[float, float]
    embedding_rate: float


FROM_NOTHING = (
    Stage(1, 4_500, bare_questions, (1.0, 0.2), 0.01),
    Stage(3, 5_000, everything, (1.0, 1.0), 0.003),
    Stage(Shape().layers, 6_000, everything, (1.0, 0.0), 0.003),
)
"""A network of one layer learns nearly as much of each question as the whole one, and in the same
time it sees five times as many. What it has learned, the taller ones begin with."""

FROM_THE_BASE = (Stage(Shape().layers, 1_200, everything, (0.1, 0.0), 0.003),)
"""At a higher rate it unlearns more than it learns."""


class Training:
    """The network, its optimizer, and how far they have come."""

    def __init__(
        self, network: Llama, tokenizer: Tokenizer, stages: Sequence[Stage], share: float
    ) -> None:
        """Begin with a network that has the layers of the first stage, or fewer.

        Args:
            network: what is learned already.
            tokenizer: the network's own.
            stages: what is to be learned, one after the other.
            share: of the steps of each.
        """
        self.tokenizer = tokenizer
        self.stages = [replace(stage, steps=round(stage.steps * share)) for stage in stages]
        self.number = 0
        self.step = 0
        # One thread a core, each with batches of its own: kernels that share their work among
        # threads would wait for each other, and a busy machine makes that wait long.
        self._pool = ThreadPoolExecutor(PARTS, initializer=torch.set_num_threads, initargs=(1,))
        self._train(network)

    def run(self, checkpoint: Path) -> None:
        """Take the remaining steps, from the checkpoint on if there is one."""
        if checkpoint.exists():
            self._load(checkpoint)
        while True:
            self._run_stage(checkpoint)
            if self.number + 1 == len(self.stages):
                break
            self.number, self.step = self.number + 1, 0
            self._train(self.network.grown(self.stages[self.number].layers))

    def _train(self, network: Llama) -> None:
        """From here on, this network, with new optimizers."""
        self.network = network
        self._weights = [*network.parameters()]
        torch.compiler.reset()  # it takes only so many forms of one function
        # Compiled it takes two thirds of the time: most of it goes to small steps between matrices.
        self._loss = torch.compile(self._loss_of, dynamic=True)
        matrices = [
            weight
            for name, weight in network.named_parameters()
            if weight.dim() == 2 and not name.startswith("embedding")
        ]
        others = [network.embedding.weight]
        others += [weight for weight in self._weights if weight.dim() == 1]
        self._muon = Muon(matrices, MATRIX_RATE, WEIGHT_DECAY, self._pool)
        self._adam = torch.optim.AdamW(others, betas=(0.9, 0.98), weight_decay=0.0)

    def _run_stage(self, checkpoint: Path) -> None:
        stage = self.stages[self.number]
        source = stage.batches(self.tokenizer, SEED + 10 * self.number)
        losses: list[float] = []
        began, seen = time.monotonic(), 0
        for batch in islice(source, self.step, stage.steps):
            losses.append(self._take_step(batch, stage))
            seen += sum(part.tokens.numel() for part in batch)
            if self.step % _REPORT_EVERY == 0:
                seconds = time.monotonic() - began
                print(
                    f"stage {self.number + 1}  step {self.step}/{stage.steps}  "
                    f"loss {sum(losses) / len(losses):.4f}  "
                    f"{seen / seconds:.0f} tokens/s  {seconds:.0f} s",
                    flush=True,
                )
                losses.clear()
            if self.step % _SAVE_EVERY == 0:
                self._save(checkpoint)
        self._save(checkpoint)

    def _take_step(self, parts: list[Batch], stage: Stage) -> float:
        total = sum(float(part.weights.sum()) for part in parts)
        done = list(self._pool.map(lambda part: self._gradients(part, total), parts))
        for weight, *gradients in zip(self._weights, *(each for _, each in done), strict=True):
            weight.grad = torch.stack(gradients).sum(0)
        nn.utils.clip_grad_norm_(self._weights, 1.0)
        share = self._share(stage)
        self._adam.param_groups[0]["lr"] = stage.embedding_rate * share
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

    def _share(self, stage: Stage) -> float:
        """The rate's schedule in a stage: up to the first one, then in a line to the last."""
        first, last = stage.rates
        done = self.step / stage.steps
        return min((self.step + 1) / WARM_UP, 1.0) * (first + (last - first) * done)

    def _save(self, checkpoint: Path) -> None:
        state = {
            "stage": self.number,
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
        self.number, self.step = state["stage"], state["step"]
        self._train(self.network.grown(self.stages[self.number].layers))
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
    parser.add_argument(
        "--share", type=float, default=1.0, help="of the steps; fewer make a worse model"
    )
    parser.add_argument("--from-nothing", action="store_true", help="and not from the base")
    asked = parser.parse_args()
    asked.folder.mkdir(parents=True, exist_ok=True)
    torch.set_num_threads(1)
    torch.manual_seed(SEED)
    if asked.from_nothing:
        stages, tokenizer = FROM_NOTHING, learn_tokenizer()
        network = Llama(replace(Shape(), layers=stages[0].layers))
    else:
        stages, (network, tokenizer) = FROM_THE_BASE, load(BASE)
    training = Training(network, tokenizer, stages, asked.share)
    checkpoint = asked.folder / "checkpoint.pt"
    training.run(checkpoint)
    export(training.network, training.tokenizer, asked.folder / "guide.gguf")
    checkpoint.unlink()


if __name__ == "__main__":
    main()
