"""A model's manifest and config: the JSON that makes an OCI artifact a model.

Three kinds of config are read into one: Docker's v0.1 (one layer per role), Docker's v0.2 (one
layer per file) and the CNCF ModelPack (https://github.com/modelpack/model-spec).
"""

from __future__ import annotations

from datetime import UTC, datetime

import msgspec
from msgspec import Struct

from dmr_tui.errors import InvalidRequestError, UnsupportedModelError
from dmr_tui.store.reference import is_digest

OCI_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
DOCKER_MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"

CONFIG_V01 = "application/vnd.docker.ai.model.config.v0.1+json"
CONFIG_V02 = "application/vnd.docker.ai.model.config.v0.2+json"
CNCF_CONFIG = "application/vnd.cncf.model.config.v1+json"
CNCF_ARTIFACT = "application/vnd.cncf.model.manifest.v1+json"
CONFIG_TYPES = (CONFIG_V01, CONFIG_V02, CNCF_CONFIG)

GGUF_LAYER = "application/vnd.docker.ai.gguf.v3"
MMPROJ_LAYER = "application/vnd.docker.ai.mmproj"
CHAT_TEMPLATE_LAYER = "application/vnd.docker.ai.chat.template.jinja"
LICENSE_LAYER = "application/vnd.docker.ai.license"
LORA_LAYER = "application/vnd.docker.ai.gguf.v3.lora"
SAFETENSORS_LAYER = "application/vnd.docker.ai.safetensors"
FILE_LAYER = "application/vnd.docker.ai.model.file"
CNCF_WEIGHT_LAYERS = (
    "application/vnd.cncf.model.weight.v1.raw",
    "application/vnd.cncf.model.weight.v1.gguf",
)

FILE_PATH = "org.cncf.model.filepath"
FILE_METADATA = "org.cncf.model.file.metadata+json"
FILE_UNTESTED = "org.cncf.model.file.mediatype.untested"

LARGEST_MANIFEST = 8 << 20
"""Bytes; nothing honest is larger."""

# The structs below are not tracked by the garbage collector (`gc=False`): they hold texts and maps
# of texts, so they cannot form cycles, and a list of thousands of models loads faster.


class Descriptor(Struct, frozen=True, gc=False, omit_defaults=True, rename="camel"):
    """One blob of an artifact (OCI image spec, "Content Descriptors"); fields in Go's order."""

    media_type: str
    size: int
    """Bytes."""
    digest: str
    annotations: dict[str, str] | None = None


class Manifest(Struct, frozen=True, gc=False, omit_defaults=True, rename="camel", kw_only=True):
    """An OCI image manifest; fields in Go's order."""

    schema_version: int
    media_type: str = ""
    artifact_type: str = ""
    config: Descriptor
    layers: list[Descriptor] = []
    annotations: dict[str, str] | None = None

    @property
    def size(self) -> int:
        """Bytes of the config and all layers."""
        return self.config.size + sum(layer.size for layer in self.layers)

    @property
    def files(self) -> dict[str, int]:
        """Bytes of the layers and of the config, by digest."""
        return {each.digest: each.size for each in (*self.layers, self.config)}

    @property
    def digests(self) -> list[str]:
        """What the artifact consists of, as the store's index lists it: layers, then config."""
        return [layer.digest for layer in self.layers] + [self.config.digest]


class ModelConfig(Struct, frozen=True, gc=False, omit_defaults=True):
    """What a model's config says about it, in Docker Model Runner's words."""

    format: str = ""
    quantization: str = ""
    parameters: str = ""
    """For people: `361.82M`."""
    architecture: str = ""
    size: str = ""
    """For people: `256.35MiB`."""
    gguf: dict[str, str] = {}
    safetensors: dict[str, str] = {}
    diffusers: dict[str, str] = {}
    context_size: int | None = None
    """Tokens the package asks for; None when it says nothing."""

    @property
    def trained_context(self) -> int | None:
        """Tokens that the weights were trained for; None when their header does not say."""
        text = self.gguf.get(f"{self.architecture}.context_length", "")
        return int(text) if text.isdecimal() else None


class Dates(Struct, frozen=True, gc=False, omit_defaults=True):
    """When a model was packaged, in RFC 3339: `created` in Docker's configs."""

    created: str = ""
    created_at: str = msgspec.field(default="", name="createdAt")


class RootFS(Struct, frozen=True, gc=False):
    """Digests of the unpacked layers; models are not compressed, so they are the layers' own."""

    type: str = "rootfs"
    diff_ids: list[str] = []


class ConfigFile(Struct, frozen=True, gc=False):
    """Docker's config blob; fields in Go's order."""

    config: ModelConfig = ModelConfig()
    descriptor: Dates = Dates()
    rootfs: RootFS = RootFS()

    @property
    def created(self) -> int:
        """Unix time in seconds; 0 when the config does not say."""
        return _unix(self.descriptor.created or self.descriptor.created_at)


class _PackConfig(Struct, frozen=True):
    format: str = ""
    quantization: str = ""
    parameters: str = msgspec.field(default="", name="paramSize")
    architecture: str = ""
    precision: str = ""


class _PackFS(Struct, frozen=True):
    diff_ids: list[str] = msgspec.field(default_factory=list, name="diffIds")


class _PackFile(Struct, frozen=True):
    """The CNCF ModelPack's config blob."""

    config: _PackConfig = _PackConfig()
    descriptor: Dates = Dates()
    modelfs: _PackFS | None = None

    @property
    def sure(self) -> bool:
        """Whether this is a ModelPack config, judged by what only those have."""
        return bool(self.modelfs or self.descriptor.created_at or self.config.parameters)


_manifests = msgspec.json.Decoder(Manifest)
_configs = msgspec.json.Decoder(ConfigFile)
_packs = msgspec.json.Decoder(_PackFile)


def parse_manifest(data: bytes) -> Manifest:
    """Read a manifest and check that nothing in it can lead outside the store.

    Raises:
        InvalidRequestError: it is no manifest, or holds a malformed digest or size.
        UnsupportedModelError: it is no model, or one of a newer kind.
    """
    if len(data) > LARGEST_MANIFEST:
        raise InvalidRequestError(f"the manifest has {len(data)} bytes: too many")
    try:
        manifest = _manifests.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise InvalidRequestError(f"not an OCI manifest: {error}") from error
    if manifest.schema_version != 2:
        raise UnsupportedModelError(f"manifest of schema {manifest.schema_version}, not 2")
    if manifest.config.media_type not in CONFIG_TYPES:
        raise UnsupportedModelError(
            f"not a model this version knows: its config is of type {manifest.config.media_type}",
            f"supported: {', '.join(CONFIG_TYPES)}",
        )
    for blob in (manifest.config, *manifest.layers):
        if not is_digest(blob.digest) or blob.size < 0:
            raise InvalidRequestError(
                f"the manifest names a blob {blob.digest!r} of {blob.size} bytes"
            )
    return manifest


def parse_config(data: bytes, media_type: str = CONFIG_V01) -> ConfigFile:
    """Read a config blob of any kind into Docker's shape.

    Raises:
        InvalidRequestError: it is not the JSON of a model's config.
    """
    try:
        if media_type != CNCF_CONFIG:
            config = _configs.decode(data)
            if config.rootfs.diff_ids or config.descriptor.created:
                return config
        pack = _packs.decode(data)
        if media_type == CNCF_CONFIG or pack.sure:
            return _from_pack(pack)
        return config
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise InvalidRequestError(f"not a model's config: {error}") from error


def _from_pack(pack: _PackFile) -> ConfigFile:
    facts = pack.config
    return ConfigFile(
        ModelConfig(
            format=facts.format,
            quantization=facts.quantization or facts.precision,
            parameters=facts.parameters,
            architecture=facts.architecture,
        ),
        Dates(created=pack.descriptor.created_at),
        RootFS(diff_ids=pack.modelfs.diff_ids if pack.modelfs else []),
    )


def _unix(text: str) -> int:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return 0
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return max(0, int(moment.timestamp()))
