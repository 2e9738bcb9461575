"""The network: a llama in PyTorch, laid out so that llama.cpp computes the same."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
import torch.nn.functional as F
from torch import Tensor, nn

HALF_IS_FAST = torch.cpu._is_avx512_bf16_supported()
"""The processor computes in bfloat16. One that imitates it is several times as fast in float32."""


@dataclass(frozen=True)
class Shape:
    """The dimensions of the model; rows are multiples of 32, as Q8_0 wants them."""

    vocabulary: int = 4096
    width: int = 192
    layers: int = 6
    heads: int = 6
    kv_heads: int = 2
    feed_forward: int = 512
    context: int = 2048
    rope_base: float = 10000.0
    epsilon: float = 1e-5

    @property
    def head(self) -> int:
        """Width of one attention head."""
        return self.width // self.heads


class Attention(nn.Module):
    """Causal attention with rotary positions and grouped key and value heads."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.shape = shape
        kv = shape.kv_heads * shape.head
        self.q = nn.Linear(shape.width, shape.width, bias=False)
        self.k = nn.Linear(shape.width, kv, bias=False)
        self.v = nn.Linear(shape.width, kv, bias=False)
        self.output = nn.Linear(shape.width, shape.width, bias=False)

    def forward(self, x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
        """Mix positions, each with those before it."""
        rows, length, width = x.shape
        shape = self.shape

        def heads(projected: Tensor, count: int) -> Tensor:
            return projected.view(rows, length, count, shape.head).transpose(1, 2)

        q = rotate(heads(self.q(x), shape.heads), cos, sin)
        k = rotate(heads(self.k(x), shape.kv_heads), cos, sin)
        v = heads(self.v(x), shape.kv_heads)
        group = shape.heads // shape.kv_heads
        k, v = k.repeat_interleave(group, 1), v.repeat_interleave(group, 1)
        mixed = attend(q, k, v)
        joined: Tensor = self.output(mixed.transpose(1, 2).reshape(rows, length, width))
        return joined


class FeedForward(nn.Module):
    """SwiGLU."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.gate = nn.Linear(shape.width, shape.feed_forward, bias=False)
        self.up = nn.Linear(shape.width, shape.feed_forward, bias=False)
        self.down = nn.Linear(shape.feed_forward, shape.width, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """Compute each position on its own."""
        mixed: Tensor = self.down(F.silu(self.gate(x)) * self.up(x))
        return mixed


class Block(nn.Module):
    """One layer."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.attention_norm = nn.RMSNorm(shape.width, eps=shape.epsilon)
        self.attention = Attention(shape)
        self.feed_forward_norm = nn.RMSNorm(shape.width, eps=shape.epsilon)
        self.feed_forward = FeedForward(shape)

    def forward(self, x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
        """Add what attention and feed-forward find to the stream."""
        x = x + self.attention(self.attention_norm(x), cos, sin)
        mixed: Tensor = x + self.feed_forward(self.feed_forward_norm(x))
        return mixed


class Llama(nn.Module):
    """The whole network; the embedding is also the output matrix."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.shape = shape
        self.embedding = nn.Embedding(shape.vocabulary, shape.width)
        self.blocks = nn.ModuleList(Block(shape) for _ in range(shape.layers))
        self.norm = nn.RMSNorm(shape.width, eps=shape.epsilon)
        self._initialise()
        cos, sin = rotary_table(shape)
        self.register_buffer("cos", cos, persistent=False)
        self.register_buffer("sin", sin, persistent=False)

    def _initialise(self) -> None:
        deep = (2 * self.shape.layers) ** -0.5
        for name, weight in self.named_parameters():
            if name.startswith("embedding"):
                nn.init.normal_(weight, std=0.04)
            elif weight.dim() == 2:
                scale = deep if ("output" in name or "down" in name) else 1.0
                nn.init.normal_(weight, std=scale * weight.shape[1] ** -0.5 * 0.7)

    def grown(self, layers: int) -> Llama:
        """The same function with more layers: the new ones on top, which add nothing yet."""
        taller = Llama(replace(self.shape, layers=layers))
        for block in taller.blocks[self.shape.layers :]:
            nn.init.zeros_(block.get_parameter("attention.output.weight"))
            nn.init.zeros_(block.get_parameter("feed_forward.down.weight"))
        taller.load_state_dict(self.state_dict(), strict=False)
        return taller

    def forward(self, tokens: Tensor) -> Tensor:
        """What the last layer finds, its rows laid one after the other.

        Args:
            tokens: ids, rows by positions.
        """
        length = tokens.shape[1]
        x = self.embedding(tokens)
        cos, sin = self.get_buffer("cos")[:length], self.get_buffer("sin")[:length]
        if torch.is_autocast_enabled("cpu"):
            cos, sin = cos.bfloat16(), sin.bfloat16()
        for block in self.blocks:
            x = block(x, cos, sin)
        return x.flatten(0, 1)

    def logits(self, found: Tensor, first: int = 0) -> Tensor:
        """Logits of the next token, in one row for each row of what the last layer finds.

        Args:
            found: as `forward` gives it.
            first: only the tokens from this id on.
        """
        return F.linear(self.norm(found), self.embedding.weight[first:])


def attend(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """Causal attention; rows, heads, positions, width of a head.

    Written out it is several times as fast on a CPU as the fused kernel, for texts so short.
    """
    length = q.shape[2]
    scores = q @ k.transpose(-1, -2) * q.shape[-1] ** -0.5
    later = torch.full((length, length), float("-inf"), dtype=scores.dtype).triu(1)
    return (scores + later).softmax(-1).to(v.dtype) @ v


def rotary_table(shape: Shape) -> tuple[Tensor, Tensor]:
    """Cosines and sines of the rotary embedding, positions by half a head."""
    half = shape.head // 2
    speed = shape.rope_base ** (-torch.arange(half, dtype=torch.float32) / half)
    angle = torch.arange(shape.context, dtype=torch.float32)[:, None] * speed
    return angle.cos(), angle.sin()


def rotate(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """Turn each pair (i, i + half) of a head by its position's angle."""
    left, right = x.chunk(2, -1)
    return torch.cat([left * cos - right * sin, right * cos + left * sin], -1)
