"""What a model's config says of a GGUF model: its header, in Docker Model Runner's words."""

from __future__ import annotations

from collections.abc import Sequence

from dmr_tui.store.gguf import Array, GGUFHeader, Scalar
from dmr_tui.store.manifest import ModelConfig

LONGEST_ARRAY = 50
"""Elements; longer arrays of the metadata are left out of a config."""

_THOUSANDS = ("", "K", "M", "B", "T")
_BYTES = ("B", "KiB", "MiB", "GiB", "TiB")


def model_config(shards: Sequence[GGUFHeader], context_size: int | None = None) -> ModelConfig:
    """Describe a model.

    Args:
        shards: the header of its only file, or of all its shards in order.
        context_size: tokens that the package shall ask for. None leaves the choice to whoever
            runs it; Docker Model Runner fills in what the model was trained for, and with that a
            cache that often does not fit into memory.
    """
    first = shards[0]
    return ModelConfig(
        format="gguf",
        quantization=first.quantization,
        parameters=human_count(sum(shard.parameters for shard in shards)),
        architecture=first.architecture,
        size=human_size(sum(shard.size for shard in shards)),
        gguf=metadata_texts(first),
        context_size=context_size,
    )


def human_count(number: int) -> str:
    """A parameter count for people: `361.82M`."""
    return _scaled(number, 1000, _THOUSANDS)


def human_size(number: int) -> str:
    """A size in bytes for people: `256.35MiB`."""
    return _scaled(number, 1024, _BYTES)


def metadata_texts(header: GGUFHeader) -> dict[str, str]:
    """The metadata as a config holds it: every value a text, long arrays left out."""
    texts: dict[str, str] = {}
    for key, value in header.metadata.items():
        if not isinstance(value, Array):
            texts[key] = _text(value)
        elif value.values is not None and value.count <= LONGEST_ARRAY:
            texts[key] = ", ".join(map(_text, value.values))
    return texts


def _scaled(number: int, base: int, units: tuple[str, ...]) -> str:
    power = 0
    # By the rounded number, so that 999,999 is 1.00M and not 1000.00K.
    while round(number / base**power, 2) >= base and power < len(units) - 1:
        power += 1
    return f"{number / base**power:.2f}{units[power]}"


def _text(value: Scalar) -> str:
    """A value as Go's `%t`, `%d`, `%f` and `%s` print it."""
    if isinstance(value, bool):
        return str(value).lower()
    return f"{value:f}" if isinstance(value, float) else str(value)
