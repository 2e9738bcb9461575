"""What a staged runner finds on Docker Hub and on Hugging Face."""

from __future__ import annotations

import asyncio

from dmr_tui.engine.plan import Memory
from dmr_tui.errors import DmrError, ModelNotFoundError
from dmr_tui.runner.base import Published
from dmr_tui.store.manifest import ModelConfig
from dmr_tui.store.transfer.found import DEFAULT_LIMIT, Found, Hit, Source, Variant
from dmr_tui.store.transfer.labels import parameters_in, quantization_in

GB = 1000**3

DOCKER_HUB = [
    Hit(
        "ai/qwen2.5-coder",
        "Code model, 92 languages,\nfill-in-the-middle.",
        14_200_000,
        310,
        "Docker Hub",
        True,
        "2026-09-02T03:04:05Z",
    ),
    Hit("ai/codegemma", "Gemma for code", 2_100_000, 88, "Docker Hub", True, "2026-05-01"),
    Hit("ai/starcoder2", "BigCode's second", 940_000, 41, "Docker Hub", True, "2026-01-11"),
]
HUGGING_FACE = [
    Hit("hf.co/Qwen/Qwen2.5-Coder-14B-Instruct-GGUF", "text generation", 88_000, 120),
    Hit("hf.co/unsloth/Qwen3-Coder-480B-A35B-Instruct-GGUF", "text generation", 61_000, 300),
]


def variant(family: str, tag: str, size: float, *aliases: str, preferred: bool = False) -> Variant:
    return Variant(
        name=f"{family}:{tag}",
        tag=tag,
        size=int(size * GB),
        weights=int(size * GB),
        aliases=list(aliases),
        quantization=quantization_in(tag),
        parameters=parameters_in(tag) or parameters_in(family),
        preferred=preferred,
    )


CATALOGUE = {
    "ai/qwen2.5-coder": [
        variant("qwen2.5-coder", "0.5B-Q8_0", 0.5),
        variant("qwen2.5-coder", "3B-Q4_K_M", 1.9),
        variant("qwen2.5-coder", "7B-Q4_K_M", 4.7, "latest", "7B", preferred=True),
        variant("qwen2.5-coder", "7B-Q8_0", 8.1),
        variant("qwen2.5-coder", "14B-Q4_K_M", 9.0),
        variant("qwen2.5-coder", "32B-Q4_K_M", 19.9),
        variant("qwen2.5-coder", "32B-Q8_0", 34.8),
    ],
    "ai/codegemma": [variant("codegemma", "7B-Q5_K_M", 6.1, "latest", preferred=True)],
    "ai/starcoder2": [
        variant("starcoder2", "3B-Q8_0", 3.2),
        variant("starcoder2", "7B-Q4_K_M", 4.0, "latest", preferred=True),
    ],
    "hf.co/Qwen/Qwen2.5-Coder-14B-Instruct-GGUF": [
        variant("hf.co/Qwen/Qwen2.5-Coder-14B-Instruct-GGUF", "Q4_K_M", 9.0, preferred=True),
        variant("hf.co/Qwen/Qwen2.5-Coder-14B-Instruct-GGUF", "Q8_0", 15.7),
    ],
    "hf.co/unsloth/Qwen3-Coder-480B-A35B-Instruct-GGUF": [
        variant("hf.co/unsloth/Qwen3-Coder-480B-A35B-Instruct-GGUF", "Q4_K_M", 290.0)
    ],
}

CODER = ModelConfig(
    format="gguf",
    quantization="Q8_0",
    parameters="7.62B",
    architecture="qwen2",
    gguf={
        "general.license": "apache-2.0",
        "qwen2.block_count": "28",
        "qwen2.embedding_length": "3584",
        "qwen2.feed_forward_length": "18944",
        "qwen2.attention.head_count": "28",
        "qwen2.attention.head_count_kv": "4",
        "qwen2.context_length": "32768",
        "qwen2.vocab_size": "152064",
    },
)


class Market:
    """The part of a staged runner that looks for models."""

    def __init__(self) -> None:
        self.hits: dict[Source, list[Hit] | DmrError] = {
            "dockerhub": DOCKER_HUB,
            "huggingface": HUGGING_FACE,
        }
        self.catalogue: dict[str, list[Variant] | DmrError] = dict(CATALOGUE)
        self.published: dict[str, Published] = {
            "qwen2.5-coder:7B-Q8_0": Published(
                "sha256:c0de", 0, CODER, 8_100_000_000, 8_100_000_000
            )
        }
        self.memory: Memory | None = Memory(54_900_000_000, 64 * GB, device=12_800_000_000)
        self.searched: list[tuple[str, Source]] = []
        self.looked_at: list[str] = []
        self.open: asyncio.Event | None = None
        """Searches wait for it, if there is one."""

    async def search(
        self,
        term: str = "",
        *,
        limit: int = DEFAULT_LIMIT,
        source: Source = "all",
        sizes: bool = True,
    ) -> Found:
        self.searched.append((term, source))
        if self.open is not None:
            await self.open.wait()
        found = self.hits[source]
        if isinstance(found, DmrError):
            raise found
        return Found(
            [hit for hit in found if term.lower() in f"{hit.name} {hit.description}".lower()]
        )

    async def variants(self, name: str) -> list[Variant]:
        host, slash, rest = name.partition("/")
        family = (
            f"{host}{slash}{rest.partition(':')[0]}" if slash else f"ai/{host.partition(':')[0]}"
        )
        found = self.catalogue.get(family)
        if found is None:
            raise ModelNotFoundError(f"Docker Hub has no {family}", "check the name")
        if isinstance(found, DmrError):
            raise found
        return found

    async def look(self, name: str) -> Published:
        self.looked_at.append(name)
        if name not in self.published:
            raise ModelNotFoundError(f"{name} was not looked at before")
        return self.published[name]

    async def free_memory(self) -> Memory | None:
        return self.memory
