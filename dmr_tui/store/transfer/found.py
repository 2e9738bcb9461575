"""What a search for models is asked, and what it brings."""

from __future__ import annotations

from typing import Literal

from msgspec import Struct

Source = Literal["all", "dockerhub", "huggingface"]
SOURCES: dict[str, Source] = {
    "all": "all",
    "dockerhub": "dockerhub",
    "docker": "dockerhub",
    "hub": "dockerhub",
    "huggingface": "huggingface",
    "hf": "huggingface",
}
"""What people may call them."""
DEFAULT_LIMIT = 32


class Hit(Struct, frozen=True, rename="pascal"):
    """One model that was found; named as Docker Model Runner's JSON names it."""

    name: str
    """What `dmr pull` takes."""
    description: str = ""
    downloads: int = 0
    stars: int = 0
    source: str = ""
    official: bool = False
    updated_at: str = ""
    backend: str = "unknown"
    """`llama.cpp`, `vllm`, both with a comma between them, or `unknown`."""
    size: int = 0
    """Bytes of what `dmr pull NAME` fetches; 0 when that is not known."""
    fits: bool | None = None
    """Whether it probably runs in this machine's memory; None when that is not known."""


class Found(Struct, frozen=True):
    """What a search brought."""

    hits: list[Hit]
    warnings: list[str] = []
    """Why a source is not among them."""


class Variant(Struct, frozen=True):
    """One tag of a repository: a model in one size and quantization, to be pulled."""

    name: str
    """What `dmr pull` takes."""
    tag: str
    """What tells it from the repository's other variants."""
    size: int = 0
    """Bytes of what a pull fetches; 0 when that is not known."""
    weights: int = 0
    """Bytes of that which are the model's own; 0 when that is not known."""
    aliases: list[str] = []
    """Other tags of the same bytes."""
    updated_at: str = ""
    quantization: str = ""
    """As far as the name tells."""
    parameters: int = 0
    """As far as the name tells."""
    preferred: bool = False
    """It is what a pull without a wish fetches."""
    digest: str = ""
    """Of its manifest, where the registry lists that."""
