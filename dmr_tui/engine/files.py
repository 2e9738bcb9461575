"""What the engine needs to know of a model: plain paths, never the store."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class ModelFiles:
    """The files of one model that can be run.

    Attributes:
        id: stable identity; two requests with one id share a worker.
        name: what people call it; used in messages and in `ps`.
        gguf: the weights; the first shard when there are several.
        mmproj: the multimodal projector, if any.
        chat_template: a packaged Jinja file that replaces the GGUF's own template.
        context_size: context tokens the package asks for; None when it says nothing.
        adapters: LoRA adapters that were packaged with it, GGUF files.
    """

    id: str
    name: str
    gguf: Path
    mmproj: Path | None = None
    chat_template: Path | None = None
    context_size: int | None = None
    adapters: tuple[Path, ...] = ()
