"""Finding the models that other programs keep on this machine.

Each finder knows one layout and reads only small files; a model counts when all its files are there
and are GGUF. Ollama and RamaLama name a blob by its SHA-256, and so does the Hugging Face cache for
large files: those need not be read to be adopted.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import msgspec
from msgspec import Struct

from dmr_tui.errors import InvalidRequestError
from dmr_tui.store.gguf import MAGIC
from dmr_tui.store.parts import PartFile, find_shards
from dmr_tui.store.reference import parse_reference

Program = Literal["ollama", "huggingface", "lmstudio", "ramalama", "file"]

_OLLAMA_ROLES: dict[str, Literal["gguf", "mmproj", "license"]] = {
    "application/vnd.ollama.image.model": "gguf",
    "application/vnd.ollama.image.projector": "mmproj",
    "application/vnd.ollama.image.license": "license",
}
_HEX = re.compile(r"[0-9a-f]{64}")
_SHARD = re.compile(r"-\d{5}-of-\d{5}$")
_QUANTIZATION = re.compile(
    r"[-._]((?:UD-)?(?:(?:I?Q|TQ)\d+(?:_[A-Z0-9]+)*|BF16|F16|F32|MXFP4(?:_MOE)?))$", re.IGNORECASE
)


Naming = Callable[[Path], str]
"""What a file's model is called."""


@dataclass(frozen=True)
class Foreign:
    """A model of another program.

    Attributes:
        program: whose it is.
        name: the reference it gets here unless another is asked for, in short form.
        files: its weights first.
        digests: of those files whose program knows them, by path.
        size: bytes of all files.
    """

    program: Program
    name: str
    files: tuple[PartFile, ...]
    digests: Mapping[Path, str]
    size: int

    @property
    def path(self) -> Path:
        """The first file of its weights."""
        return self.files[0].path


class _OllamaLayer(Struct, frozen=True, rename="camel"):
    media_type: str
    digest: str
    size: int


class _OllamaManifest(Struct, frozen=True):
    layers: list[_OllamaLayer] = []


def find_models(environ: Mapping[str, str], home: Path) -> list[Foreign]:
    """All models of the programs that are known, where these programs keep them by default.

    Args:
        environ: `OLLAMA_MODELS`, `HF_HUB_CACHE` and `HF_HOME` say where else.
        home: the user's.
    """
    hub = Path(environ.get("HF_HUB_CACHE") or f"{environ.get('HF_HOME') or _cache(home)}/hub")
    shared = Path("/usr/share/ollama/.ollama/models")
    ollama = [Path(environ["OLLAMA_MODELS"])] if environ.get("OLLAMA_MODELS") else []
    found: list[Foreign] = []
    for folder in ollama or [home / ".ollama" / "models", shared]:
        found += find_ollama(folder)
    found += find_hugging_face(hub.expanduser())
    for folder in _lm_studio_folders(home):
        found += find_lm_studio(folder)
    found += find_ramalama(home / ".local" / "share" / "ramalama" / "store")
    # One file of one name, however many ways lead to it.
    return list({(each.name, each.path.resolve()): each for each in found}.values())


def find_ollama(root: Path) -> Iterator[Foreign]:
    """Ollama's store: `manifests/HOST/NAMESPACE/MODEL/TAG` and `blobs/sha256-HEX`."""
    for path in _files(root / "manifests"):
        host, *middle, tag = path.relative_to(root / "manifests").parts
        try:
            manifest = msgspec.json.decode(path.read_bytes(), type=_OllamaManifest)
        except (OSError, msgspec.MsgspecError, UnicodeDecodeError):
            continue
        files, digests = [], {}
        for layer in manifest.layers:
            role = _OLLAMA_ROLES.get(layer.media_type)
            blob = root / "blobs" / layer.digest.replace(":", "-")
            if role is None or not _HEX.fullmatch(layer.digest[7:]):
                continue
            if not blob.is_file() or blob.stat().st_size != layer.size:
                break  # half a model
            name = "LICENSE" if role == "license" else f"{middle[-1]}-{tag}.gguf"
            files.append(PartFile(role, blob, f"mmproj-{name}" if role == "mmproj" else name))
            digests[blob] = layer.digest
        else:
            name = f"hf.co/{'/'.join(middle)}" if host in ("hf.co", "huggingface.co") else ""
            name = name or "ollama/" + "/".join(part for part in middle if part != "library")
            yield from _model("ollama", f"{name}:{tag}", files, digests)


def find_hugging_face(hub: Path) -> Iterator[Foreign]:
    """The Hugging Face cache: `models--ORG--NAME/snapshots/COMMIT/PATH` lead to `blobs/ETAG`."""
    for repository in sorted(hub.glob("models--*--*")):
        name = "hf.co/" + repository.name.removeprefix("models--").replace("--", "/")
        for snapshot in sorted((repository / "snapshots").glob("*"), key=_changed, reverse=True):
            yield from _gguf_files("huggingface", snapshot, _by_quantization(name))


def find_lm_studio(folder: Path) -> Iterator[Foreign]:
    """LM Studio's folder: `PUBLISHER/MODEL/FILE.gguf`."""
    for model in sorted(folder.glob("*/*")):
        name = re.sub(r"-gguf$", "", model.name, flags=re.IGNORECASE)
        yield from _gguf_files("lmstudio", model, _by_quantization(f"lmstudio/{name}"))


def find_ramalama(store: Path) -> Iterator[Foreign]:
    """RamaLama's store: `TYPE/…/NAME/snapshots/HASH/FILE` lead to `blobs/sha256-HEX`."""
    for blobs in sorted(store.glob("*/**/blobs")):
        kind, *middle = blobs.parent.relative_to(store).parts
        for snapshot in sorted((blobs.parent / "snapshots").glob("*"), key=_changed, reverse=True):
            tag = _ramalama_tag(blobs.parent / "refs", snapshot.name)
            path = "/".join(part for part in middle if part != "library")
            name = {"huggingface": f"hf.co/{path}", "ollama": f"ollama/{path}"}.get(kind)
            yield from _gguf_files("ramalama", snapshot, _as(f"{name or f'ramalama/{path}'}:{tag}"))


def find_files(path: Path, *, but_not: Path | None = None) -> Iterator[Foreign]:
    """One GGUF file, or all those in a folder and below it, but not below another: a store."""
    if path.is_file():
        files = [PartFile("gguf", each, each.name) for each in find_shards(path.absolute())]
        yield from _model("file", f"local/{_base(path)}:{_tag(path)}", files, {})
        return
    ours = None if but_not is None else but_not.resolve()
    for folder in [path, *sorted(each for each in path.rglob("*") if each.is_dir())]:
        if ours is not None and folder.resolve().is_relative_to(ours):
            continue
        yield from _gguf_files("file", folder, lambda file: f"local/{_base(file)}:{_tag(file)}")


def _gguf_files(program: Program, folder: Path, name: Naming) -> Iterator[Foreign]:
    """A model for each GGUF file of a folder that is not a later shard or a projector."""
    # RamaLama's files keep whatever name they had; what others call otherwise is not finished.
    named = [
        path
        for path in _children(folder)
        if path.suffix.lower() == ".gguf" or (program == "ramalama" and path.suffix != ".partial")
    ]
    found = [path for path in named if _is_gguf(path)]
    projectors = [path for path in found if "mmproj" in path.name.lower()]
    best = sorted(projectors, key=lambda path: ("f16" not in path.name.lower(), path.name))[:1]
    for path in found:
        if path in projectors:
            continue
        try:
            shards = find_shards(path)
        except InvalidRequestError:
            continue  # a later shard, or one of several that are not all here
        files = [PartFile("gguf", shard, shard.name) for shard in shards]
        files += [PartFile("mmproj", each, each.name) for each in best]
        digests = {file.path: digest for file in files if (digest := _named(file.path))}
        yield from _model(program, name(path), files, digests)


def _model(
    program: Program, name: str, files: list[PartFile], digests: dict[Path, str]
) -> Iterator[Foreign]:
    weights = [file for file in files if file.role == "gguf"]
    rest = [file for file in files if file.role != "gguf"]
    if weights and all(_is_gguf(file.path) for file in weights):
        size = sum(file.path.stat().st_size for file in files)
        yield Foreign(program, _valid(name), (*weights, *rest), digests, size)


def _by_quantization(name: str) -> Naming:
    return lambda file: f"{name}:{_tag(file)}"


def _as(name: str) -> Naming:
    return lambda _: name


def _valid(name: str) -> str:
    """The name, with what a reference may not hold replaced."""
    try:
        return parse_reference(name).familiar()
    except InvalidRequestError:
        path, _, tag = name.rpartition(":")
        parts = [re.sub(r"[^a-z0-9]+", "-", part.lower()).strip("-") for part in path.split("/")]
        tag = re.sub(r"[^\w.-]+", "-", tag, flags=re.ASCII).strip("-.")[:128]
        return "/".join(part or "model" for part in parts) + f":{tag or 'latest'}"


def _tag(file: Path) -> str:
    """The quantisation that a file's name ends in; `latest` when it ends in none."""
    match = _QUANTIZATION.search(_SHARD.sub("", file.stem))
    return match[1].upper() if match else "latest"


def _base(file: Path) -> str:
    """A file's name without its quantisation and shard number."""
    return _QUANTIZATION.sub("", _SHARD.sub("", file.stem))


def _named(path: Path) -> str | None:
    """The digest that a link's target is named by, in programs that name blobs so."""
    target = path.resolve()
    name = target.name.removeprefix("sha256-").removeprefix("sha256:")
    in_blobs = target.parent.name == "blobs"
    return f"sha256:{name}" if in_blobs and _HEX.fullmatch(name) else None


def _ramalama_tag(refs: Path, snapshot: str) -> str:
    for path in _children(refs):
        try:
            if snapshot in path.read_text("utf-8"):
                return path.name.removesuffix(".json")
        except (OSError, UnicodeDecodeError):
            continue
    return "latest"


def _lm_studio_folders(home: Path) -> list[Path]:
    folders = [home / ".lmstudio" / "models", home / ".cache" / "lm-studio" / "models"]
    try:
        settings = msgspec.json.decode((home / ".lmstudio" / "settings.json").read_bytes())
    except (OSError, msgspec.MsgspecError, UnicodeDecodeError):
        return folders
    moved = settings.get("downloadsFolder") if isinstance(settings, dict) else None
    return [*folders, Path(moved)] if isinstance(moved, str) else folders


def _is_gguf(path: Path) -> bool:
    try:
        with path.open("rb") as file:
            return file.read(len(MAGIC)) == MAGIC
    except OSError:
        return False  # a dangling link, another user's file, a folder


def _cache(home: Path) -> Path:
    return home / ".cache" / "huggingface"


def _changed(path: Path) -> float:
    return path.stat().st_mtime


def _files(folder: Path) -> list[Path]:
    found = (Path(at) / name for at, _, names in os.walk(folder) for name in names)
    return sorted(path for path in found if not path.name.startswith("."))


def _children(folder: Path) -> list[Path]:
    return sorted(folder.iterdir()) if folder.is_dir() else []
