"""The files that a package is made of, each checked to be what it should be."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from dmr_tui.errors import InvalidRequestError
from dmr_tui.store.gguf import read_header

if TYPE_CHECKING:
    from dmr_tui.store.artifact import Role

_SHARD = re.compile(r"(?P<stem>.+)-(?P<number>\d{5})-of-(?P<count>\d{5})\.gguf")
_LARGEST_CONTEXT = (1 << 31) - 1


@dataclass(frozen=True)
class PartFile:
    """A file that becomes a layer, under a name in the package."""

    role: Role
    path: Path
    name: str


@dataclass(frozen=True)
class Extras:
    """What a package may hold beside its weights.

    Attributes:
        licenses: text files.
        chat_template: a Jinja file that replaces the model's own template.
        mmproj: the multimodal projector, a GGUF file.
        lora: adapters, GGUF files.
        context_size: tokens that the package asks its engine for; None writes nothing.
    """

    licenses: Sequence[Path] = ()
    chat_template: Path | None = None
    mmproj: Path | None = None
    lora: Sequence[Path] = ()
    context_size: int | None = None

    def files(self) -> list[PartFile]:
        """The files, each checked to be what it should be.

        Raises:
            InvalidRequestError: one is not, or the context is impossible.
        """
        if self.context_size is not None and not 0 < self.context_size <= _LARGEST_CONTEXT:
            raise InvalidRequestError(f"a context of {self.context_size} tokens is not possible")
        found = [PartFile("license", path, path.name) for path in self.licenses]
        if self.chat_template:
            _require_text(self.chat_template)
            found.append(PartFile("template", self.chat_template, _named(self.chat_template)))
        if self.mmproj:
            read_header(self.mmproj)
            name = self.mmproj.name
            name = name if "mmproj" in name.lower() else f"mmproj-{name}"
            found.append(PartFile("mmproj", self.mmproj, name))
        for adapter in self.lora:
            kind = read_header(adapter).text("general.type")
            if kind != "adapter":
                raise InvalidRequestError(
                    f"{adapter} is no LoRA adapter: it says it is a {kind or 'model'}"
                )
            found.append(PartFile("lora", adapter, adapter.name))
        for file in found:
            _require_file(file.path)
        return found


def regular_files(folder: Path) -> Iterator[Path]:
    """All files below a folder, without hidden ones and symbolic links.

    Raises:
        InvalidRequestError: it is no folder.
    """
    if not folder.is_dir():
        raise InvalidRequestError(f"{folder} is no folder")
    for path in folder.iterdir():
        if path.name.startswith(".") or path.is_symlink():
            continue
        if path.is_dir():
            yield from regular_files(path)
        elif path.is_file():
            yield path


def find_shards(path: Path) -> list[Path]:
    """All files of a model, given its only file or its first shard.

    Raises:
        InvalidRequestError: not the first shard, or one of the others is missing.
    """
    match = _SHARD.fullmatch(path.name)
    if match is None:
        return [path]
    count = int(match["count"])
    files = list(_names(path, match["stem"], count))
    if int(match["number"]) != 1:
        raise InvalidRequestError(
            f"{path.name} is not the first of {count} shards", f"name {files[0].name}"
        )
    missing = [file.name for file in files if not file.is_file()]
    if missing:
        raise InvalidRequestError(f"the shard {missing[0]} is missing in {path.parent}")
    return files


def _names(path: Path, stem: str, count: int) -> Iterator[Path]:
    for number in range(1, count + 1):
        yield path.with_name(f"{stem}-{number:05d}-of-{count:05d}.gguf")


def _named(template: Path) -> str:
    """A template's name in the package: formats without a type for it know it by its ending."""
    return template.name if template.suffix == ".jinja" else f"{template.name}.jinja"


def _require_file(path: Path) -> None:
    if not path.is_file():
        raise InvalidRequestError(f"cannot read {path}: no such file")


def _require_text(path: Path) -> None:
    try:
        path.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidRequestError(f"{path} cannot be read as a template: {error}") from error
