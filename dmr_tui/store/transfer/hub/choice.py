"""Which files of a repository make the model that a person wants: exactly that one, or an error.

A repository holds one model in many quantizations, each in one GGUF file or in several shards.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from dmr_tui.errors import ModelNotFoundError, UnsupportedModelError
from dmr_tui.store.transfer.hub.client import HubFile
from dmr_tui.store.transfer.labels import quantization_in

_SHARD = re.compile(r"(?P<stem>.+)-(?P<number>\d{5})-of-(?P<count>\d{5})\.gguf", re.IGNORECASE)
_PREFERRED = (r"Q4_K_M", r"(UD-)?Q4_K_.*", r"(UD-)?IQ4_.*", r"(UD-)?Q5_K_M", r"Q8_0")
_PROJECTORS = ("F16", "BF16", "F32")
_ROOM = 1.2  # times its size that a model takes in memory, roughly
_BESIDE = re.compile(r".+\.(json|md|txt|vocab|jinja|model)|(license|licence|notice)([._-].*)?")
_MOST_SHOWN = 30


@dataclass(frozen=True)
class Variant:
    """One quantization of a repository's model.

    Attributes:
        name: the quantization, or the file's name where that says none.
        files: its shards, in order.
    """

    name: str
    files: tuple[HubFile, ...]

    @property
    def size(self) -> int:
        """Bytes."""
        return sum(file.size for file in self.files)

    def fits(self, memory: int) -> bool:
        """Whether it probably runs in so many bytes of memory."""
        return self.size * _ROOM <= memory


def variants(files: Sequence[HubFile]) -> list[Variant]:
    """The GGUF models of a repository; sets of shards that are not complete are left out.

    Of one that is there both whole and in shards, the whole file counts.
    """
    groups: dict[tuple[str, int], dict[int, HubFile]] = {}
    for file in files:
        if not _is_gguf(file) or _is_projector(file):
            continue
        shard = _SHARD.fullmatch(file.path)
        stem = shard["stem"] if shard else file.path[: -len(".gguf")]
        count = int(shard["count"]) if shard else 0
        groups.setdefault((stem, count), {})[int(shard["number"]) if shard else 1] = file
    complete: dict[str, dict[int, HubFile]] = {}
    for stem, count in sorted(groups):
        if len(groups[stem, count]) == max(count, 1):
            complete.setdefault(stem, groups[stem, count])
    return [
        Variant(_quantization(stem), tuple(group[number] for number in sorted(group)))
        for stem, group in complete.items()
    ]


def choose(found: Sequence[Variant], wanted: str, *, repository: str, memory: int) -> Variant:
    """The variant that a person wants.

    Args:
        found: what there is.
        wanted: a quantization, in any case, or a file's name; empty: no wish.
        repository: for messages.
        memory: bytes of this machine, to mark and to prefer what fits.

    Raises:
        ModelNotFoundError: there is none of that name; the hint lists what there is.
    """
    if not wanted:
        return _best(found, memory)
    for matches in (_has_file, _is_quantization, _ends_with):
        exact = [variant for variant in found if matches(variant, wanted)]
        if len(exact) == 1:
            return exact[0]
        if exact:
            problem = f"{wanted} means {len(exact)} models of hf.co/{repository}"
            raise ModelNotFoundError(problem, "name a file:\n" + _listed(exact, memory, True))
    raise ModelNotFoundError(
        f"hf.co/{repository} has no {wanted}", "it has:\n" + _listed(found, memory, False)
    )


def projector(files: Sequence[HubFile]) -> HubFile | None:
    """The multimodal projector that goes with a model: the most exact one that is not too large."""
    found = sorted((file for file in files if _is_projector(file)), key=lambda file: file.path)
    for precision in _PROJECTORS:
        for file in found:
            if _quantization(file.path[: -len(".gguf")]).upper().replace("FP", "F") == precision:
                return file
    return found[0] if found else None


def template(files: Sequence[HubFile]) -> HubFile | None:
    """A chat template in a file of its own, at the repository's root."""
    found = [file for file in files if file.path.endswith(".jinja") and "/" not in file.path]
    named = [file for file in found if file.path.startswith("chat_template")]
    return min(named or found, key=lambda file: file.path, default=None)


def safetensors(files: Sequence[HubFile], repository: str) -> list[HubFile]:
    """The files of a safetensors model: the weights, and what tokenizers and engines read.

    Raises:
        UnsupportedModelError: there are no weights.
    """
    weights = [file for file in files if file.path.endswith(".safetensors") and _is_plain(file)]
    flat = [file for file in weights if "/" not in file.path]
    if not weights:
        raise UnsupportedModelError(
            f"hf.co/{repository} holds neither GGUF nor safetensors files",
            "look for a repository whose name ends in -GGUF: dmr search NAME",
        )
    beside = [file for file in files if _BESIDE.fullmatch(file.path.rpartition("/")[2].lower())]
    if flat:
        weights = flat
        beside = [file for file in beside if "/" not in file.path]
    chosen = {file.path: file for file in (*weights, *beside) if _is_plain(file)}
    return [chosen[path] for path in sorted(chosen)]


def _best(found: Sequence[Variant], memory: int) -> Variant:
    for pattern in _PREFERRED:
        for variant in found:
            if re.fullmatch(pattern, variant.name, re.IGNORECASE):
                return variant
    fitting = [variant for variant in found if variant.fits(memory)]
    return max(fitting, key=lambda v: v.size) if fitting else min(found, key=lambda v: v.size)


def _has_file(variant: Variant, wanted: str) -> bool:
    return any(wanted in (file.path, file.path.rpartition("/")[2]) for file in variant.files)


def _is_quantization(variant: Variant, wanted: str) -> bool:
    return variant.name.lower() == wanted.lower()


def _ends_with(variant: Variant, wanted: str) -> bool:
    """`8B-Q4_K_M` of `Model-8B-Q4_K_M.gguf`, and `Q4_K_XL` of `Model-UD-Q4_K_XL.gguf`."""
    stem = re.sub(r"(-\d{5}-of-\d{5})?\.gguf$", "", variant.files[0].path, flags=re.IGNORECASE)
    return re.search(rf"(^|[-./]){re.escape(wanted)}$", stem, re.IGNORECASE) is not None


def _listed(found: Sequence[Variant], memory: int, by_file: bool) -> str:
    names = [v.files[0].path if by_file else v.name for v in found[:_MOST_SHOWN]]
    width = max(map(len, names))
    lines = [
        f"{name:{width}}  {variant.size / 1e9:7.2f}GB  {_mark(variant, memory)}".rstrip()
        for name, variant in zip(names, found, strict=False)
    ]
    return "\n".join([*lines, *(["…"] if len(found) > _MOST_SHOWN else [])])


def _mark(variant: Variant, memory: int) -> str:
    return "" if variant.fits(memory) else "too large for this machine's memory"


def _quantization(stem: str) -> str:
    """The quantization that a path without its ending names: the last one it does."""
    return quantization_in(stem) or stem.rpartition("/")[2]


def _is_gguf(file: HubFile) -> bool:
    return file.path.lower().endswith(".gguf") and _is_plain(file)


def _is_projector(file: HubFile) -> bool:
    return _is_gguf(file) and "mmproj" in file.path.rpartition("/")[2].lower()


def _is_plain(file: HubFile) -> bool:
    """Whether a path can be one of a package: below its root, and not hidden."""
    parts = file.path.split("/")
    return "\\" not in file.path and not any(part in ("", "..") or part[0] == "." for part in parts)
