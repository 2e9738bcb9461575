"""Building a model's artifact: roles of files, their media types, config and manifest.

Two formats: Docker's (config v0.1 for one file of each role, v0.2 where each file keeps its path)
and the CNCF ModelPack (https://github.com/modelpack/model-spec).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import msgspec
from msgspec import Struct

from dmr_tui.errors import InvalidRequestError
from dmr_tui.store import gojson
from dmr_tui.store.bundle import by_path
from dmr_tui.store.manifest import (
    CHAT_TEMPLATE_LAYER,
    CNCF_ARTIFACT,
    CNCF_CONFIG,
    CNCF_WEIGHT_LAYERS,
    CONFIG_V01,
    CONFIG_V02,
    FILE_LAYER,
    FILE_METADATA,
    FILE_PATH,
    FILE_UNTESTED,
    GGUF_LAYER,
    LICENSE_LAYER,
    LORA_LAYER,
    MMPROJ_LAYER,
    OCI_MANIFEST,
    SAFETENSORS_LAYER,
    ConfigFile,
    Dates,
    Descriptor,
    Manifest,
    ModelConfig,
    RootFS,
)
from dmr_tui.store.reference import Reference
from dmr_tui.store.store import Store, StoredModel


class _FileMetadata(Struct, frozen=True):
    """What the annotation says of a layer's file; fields in Go's order."""

    name: str
    mode: int
    uid: int
    gid: int
    size: int
    mtime: str
    typeflag: int = 0
    """A regular file."""


Format = Literal["docker", "cncf"]
Role = Literal["gguf", "safetensors", "mmproj", "template", "license", "lora", "file"]

_DOCKER: dict[Role, str] = {
    "gguf": GGUF_LAYER,
    "safetensors": SAFETENSORS_LAYER,
    "mmproj": MMPROJ_LAYER,
    "template": CHAT_TEMPLATE_LAYER,
    "license": LICENSE_LAYER,
    "lora": LORA_LAYER,
    "file": FILE_LAYER,
}
_CNCF: dict[Role, str] = {
    "gguf": "application/vnd.cncf.model.weight.v1.raw",
    "safetensors": "application/vnd.cncf.model.weight.v1.raw",
    "mmproj": "application/vnd.cncf.model.weight.v1.raw",
    "template": "application/vnd.cncf.model.weight.config.v1.raw",
    "license": "application/vnd.cncf.model.doc.v1.raw",
    "lora": LORA_LAYER,
    "file": "application/vnd.cncf.model.weight.config.v1.raw",
}
_BY_TYPE: dict[str, Role] = {media_type: role for role, media_type in _DOCKER.items()}
_LICENSE = re.compile(r"(license|licence|copying|notice)([._-].*)?", re.IGNORECASE)


@dataclass(frozen=True)
class Artifact:
    """What a model is made of, before it has a manifest.

    Attributes:
        layers: each with its role.
        config: what the package says about the model.
        created: RFC 3339.
        format: whose media types it gets.
    """

    layers: tuple[tuple[Role, Descriptor], ...]
    config: ModelConfig
    created: str
    format: Format = "docker"

    def without(self, role: Role) -> Artifact:
        """The same without the files of a role."""
        return replace(self, layers=tuple(each for each in self.layers if each[0] != role))

    @property
    def keeps_paths(self) -> bool:
        """Whether engines find its files by their paths, and not by their roles."""
        roles = {role for role, _ in self.layers}
        return self.format == "cncf" or bool(roles & {"safetensors", "file"})

    def require_paths(self) -> None:
        """Refuse what no bundle can be made of.

        Raises:
            UnsupportedModelError: a file's name is no path everywhere, or two files have one name.
        """
        if self.keeps_paths:
            by_path("the package", (layer for role, layer in self.layers if role != "lora"))

    def enter(self, store: Store, reference: Reference | None) -> StoredModel:
        """Put the artifact, whose layers are there, into the store under a name.

        Raises:
            InvalidRequestError: the format cannot say what the config says.
            StoreError: a layer is missing or the store cannot be written.
        """
        types = _CNCF if self.format == "cncf" else _DOCKER
        layers = [
            msgspec.structs.replace(layer, media_type=types[role]) for role, layer in self.layers
        ]
        digests = [layer.digest for layer in layers]
        if self.format == "cncf":
            media_type, data = CNCF_CONFIG, _pack_config(self.config, self.created, digests)
        else:
            media_type = CONFIG_V02 if self.keeps_paths else CONFIG_V01
            data = gojson.encode(
                ConfigFile(self.config, Dates(created=self.created), RootFS(diff_ids=digests))
            )
        blob = store.blobs.put(data)
        manifest = Manifest(
            schema_version=2,
            media_type=OCI_MANIFEST,
            artifact_type=CNCF_ARTIFACT if self.format == "cncf" else "",
            config=Descriptor(media_type, blob.size, blob.digest),
            layers=layers,
        )
        return store.add(gojson.encode(manifest), reference)


def taken_apart(manifest: Manifest, config: ConfigFile) -> Artifact:
    """The artifact that a manifest and its config describe."""
    created = config.descriptor.created or config.descriptor.created_at
    return Artifact(
        tuple((role_of(layer), layer) for layer in manifest.layers),
        config.config,
        created,
        "cncf" if manifest.config.media_type == CNCF_CONFIG else "docker",
    )


def role_of(layer: Descriptor) -> Role:
    """What a layer is for: by its media type, or by its path where that says little."""
    if layer.media_type in _BY_TYPE:
        return _BY_TYPE[layer.media_type]
    return role_of_path((layer.annotations or {}).get(FILE_PATH, ""), layer.media_type)


def role_of_path(path: str, media_type: str = "") -> Role:
    """What a file is for, by its name."""
    name = path.rpartition("/")[2].lower()
    if "mmproj" in name and name.endswith((".gguf", ".mmproj")):
        return "mmproj"
    if name.endswith(".gguf") or (media_type == CNCF_WEIGHT_LAYERS[1]):
        return "gguf"
    if name.endswith(".safetensors"):
        return "safetensors"
    if name.endswith(".jinja") or name.startswith("chat_template"):
        return "template"
    return "license" if _LICENSE.fullmatch(name) else "file"


def _pack_config(config: ModelConfig, created: str, digests: Sequence[str]) -> bytes:
    """The CNCF ModelPack's config blob."""
    if config.context_size is not None:
        raise InvalidRequestError(
            "the CNCF format has no field for a context size", "leave out --context-size"
        )
    facts = {
        "architecture": config.architecture,
        "format": config.format,
        "paramSize": config.parameters,
        "quantization": config.quantization,
    }
    document: dict[str, Any] = {
        "descriptor": {"createdAt": created},
        "modelfs": {"type": "layers", "diffIds": list(digests)},
        "config": {name: value for name, value in facts.items() if value},
    }
    return gojson.encode(document, sort_keys=False)


def file_layer(path: str, size: int, digest: str, moment: str) -> Descriptor:
    """The layer of a file; its media type is left to the artifact's format.

    Mode and owner are fixed, so that the same files give the same id everywhere.

    Args:
        path: below the model's root.
        size: bytes.
        digest: of its bytes.
        moment: when it changed, in RFC 3339.

    Raises:
        InvalidRequestError: the path is not UTF-8.
    """
    try:
        path.encode()
    except UnicodeEncodeError as error:
        raise InvalidRequestError(f"the file name {path!r} is not UTF-8", "rename it") from error
    metadata = _FileMetadata(path, 0o644, 0, 0, size, moment)
    annotations = {
        FILE_PATH: path,
        FILE_METADATA: gojson.encode(metadata).decode(),
        FILE_UNTESTED: "false",
    }
    return Descriptor("", size, digest, annotations)
