"""Names of models: one parser, one canonical text, one short text for people.

A reference is `[registry/]repository[:tag][@digest]`. The grammar is that of the OCI distribution
spec (https://github.com/opencontainers/distribution-spec, "Pulling manifests") and of Docker's
`distribution/reference`; the defaults are Docker Model Runner's: registry `docker.io`,
organisation `ai`, tag `latest`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass

from dmr_tui.errors import InvalidRequestError

DOCKER_HUB = "docker.io"
HUGGING_FACE = "huggingface.co"
DEFAULT_ORGANISATION = "ai"
DEFAULT_TAG = "latest"

_REGISTRY_ALIASES = {"index.docker.io": DOCKER_HUB, "hf.co": HUGGING_FACE}

_LABEL = r"[a-z0-9](?:[a-z0-9-]*[a-z0-9])?"
_REGISTRY = re.compile(rf"(?:{_LABEL}(?:\.{_LABEL})*|\[[0-9a-f:]+\])(?::[0-9]{{1,5}})?", re.ASCII)
_PART = r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*"
_REPOSITORY = re.compile(rf"{_PART}(?:/{_PART})*", re.ASCII)
_HUB_PART = r"(?!.*\.\.)[a-z0-9_](?:[a-z0-9._-]*[a-z0-9_])?"
_HUB_REPOSITORY = re.compile(rf"{_HUB_PART}(?:/{_HUB_PART})?", re.ASCII)
_TAG = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,127}", re.ASCII)
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}|sha512:[0-9a-f]{128}", re.ASCII)
_ID = re.compile(r"[0-9a-f]{12}|(?:sha256:)?[0-9a-f]{64}", re.ASCII)
_LONGEST_NAME = 255
# Quick, for indexes of thousands: names a registry that is no alias, and has a tag or a digest.
_CANONICAL = re.compile(r"(?!index\.docker\.io/|hf\.co/)[^/]*[.:][^/]*/.*[:@][^/]*$", re.ASCII)
# Quick too: what nearly all tags of a store are, with nothing odd about them. Names that could be
# ids, and organisations that could be hosts, are left to the parser.
_WORD = r"[a-z0-9]+(?:[._-][a-z0-9]+)*"
_PLAIN = re.compile(
    rf"(?=.{{1,200}}$)docker\.io/(?:ai/(?=[a-z0-9-]*[g-z-])(?P<own>{_WORD})"
    rf"|(?!(?:ai|library|localhost)/)(?P<name>[a-z0-9]+(?:-[a-z0-9]+)*/{_WORD}))"
    r":(?P<tag>\w[\w.-]{0,127})",
    re.ASCII,
)


@dataclass(frozen=True)
class Reference:
    """Where a model comes from, every default filled in.

    Attributes:
        registry: host, with its port if it has one: `docker.io`, `localhost:5000`.
        repository: path on that registry, lower case: `ai/smollm2`.
        tag: case kept; None only for a reference by digest alone.
        digest: `sha256:…`; when present it, and not the tag, says which bytes are meant.
    """

    registry: str
    repository: str
    tag: str | None
    digest: str | None = None

    def __str__(self) -> str:
        """The canonical text, as it stands in the store's index."""
        return f"{self.registry}/{self.repository}{self._suffix(self.tag)}"

    @property
    def is_huggingface(self) -> bool:
        """Whether the Hugging Face Hub's own API serves it, and not an OCI registry."""
        return self.registry == HUGGING_FACE

    def familiar(self, default_registry: str = DOCKER_HUB) -> str:
        """The shortest text that parses to this reference again: `smollm2`."""
        name = f"{self.registry}/{self.repository}"
        if self.registry == _registry(default_registry):
            organisation, slash, rest = self.repository.partition("/")
            alone = bool(rest) and organisation == DEFAULT_ORGANISATION and "/" not in rest
            if alone and not looks_like_id(rest):
                name = rest
            elif slash and organisation != "library" and not _is_registry(organisation):
                name = self.repository
        return name + self._suffix(None if self.tag == DEFAULT_TAG else self.tag)

    def _suffix(self, tag: str | None) -> str:
        by_digest = f"@{self.digest}" if self.digest else ""
        if self.digest and self.tag == DEFAULT_TAG:
            tag = self.tag
        return (f":{tag}" if tag else "") + by_digest


def looks_like_id(text: str) -> bool:
    """Whether a text has the shape of a model's id: 12 or 64 lower-case hex, or `sha256:<64>`."""
    return _ID.fullmatch(text) is not None


def is_digest(text: str) -> bool:
    """Whether a text is a well-formed digest of an algorithm that the store knows."""
    return _DIGEST.fullmatch(text) is not None


def parse_reference(text: str, *, default_registry: str = DOCKER_HUB) -> Reference:
    """Read a model's name as a person types it, filling in the defaults.

    Args:
        text: e.g. `gemma3`, `org/model:v1`, `hf.co/Org/Model:Q4_K_M`, `localhost:5000/m@sha256:…`.
        default_registry: for names that do not begin with a registry.

    Raises:
        InvalidRequestError: the text is no reference; the message says which part is wrong.
    """
    clean = text.strip()
    if not clean:
        raise InvalidRequestError("the model's name is empty", "name a model, e.g. ai/smollm2")
    if "://" in clean:
        raise InvalidRequestError(
            f"{clean!r} is an address, not a model's name",
            f"leave out {clean.split('://', 1)[0]}://",
        )
    if looks_like_id(clean) and len(clean) > 12:
        raise InvalidRequestError(f"{clean} is a model's id, not a name", "use the model's name")
    name, tag, digest = _split(clean)
    first, slash, rest = name.partition("/")
    if slash and _is_registry(first):
        registry, repository = _registry(first), rest.lower()
        implied = registry == DOCKER_HUB
    else:
        registry, repository, implied = _registry(default_registry), name.lower(), True
    if implied:
        repository = _with_organisation(repository)
    reference = Reference(
        registry, repository, tag or (None if digest else DEFAULT_TAG), digest or None
    )
    _check(reference, clean)
    return reference


def canonical(tag: str) -> str:
    """A tag that some program stored, in canonical form; one that cannot be read stays as it is.

    Older versions of Docker Model Runner stored `ai/smollm2`, `index.docker.io/ai/smollm2:latest`
    and `hf.co/…`.
    """
    if _CANONICAL.match(tag):
        return tag
    try:
        return str(parse_reference(tag))
    except InvalidRequestError:
        return tag


def familiar(tag: str, default_registry: str = DOCKER_HUB) -> str:
    """A stored tag as people write it; one that cannot be read stays as it is."""
    plain = _PLAIN.fullmatch(tag) if default_registry == DOCKER_HUB else None
    if plain:
        own, name, suffix = plain.groups()
        return (own or name) + ("" if suffix == DEFAULT_TAG else f":{suffix}")
    try:
        return parse_reference(tag).familiar(default_registry)
    except InvalidRequestError:
        return tag


def readable(tags: Iterable[str]) -> list[Reference]:
    """What stored tags name; those that cannot be read, of other programs, are left out."""
    found = []
    for tag in tags:
        with suppress(InvalidRequestError):
            found.append(parse_reference(tag))
    return found


def _split(text: str) -> tuple[str, str, str]:
    """Cut a reference into name, tag and digest; a missing part is empty."""
    name, at, digest = text.partition("@")
    if at and not is_digest(digest):
        raise InvalidRequestError(
            f"{text!r}: {digest!r} is no digest", "a digest is sha256: and 64 lower-case hex digits"
        )
    colon = name.rfind(":")
    if colon > name.rfind("/"):
        return name[:colon], name[colon + 1 :], digest
    return name, "", digest


def _is_registry(first: str) -> bool:
    """Whether the part before the first slash is a host and not an organisation."""
    return "." in first or ":" in first or first.lower() == "localhost"


def _registry(text: str) -> str:
    host = text.strip().rstrip("/").lower()
    return _REGISTRY_ALIASES.get(host, host)


def _with_organisation(repository: str) -> str:
    organisation, slash, rest = repository.partition("/")
    if not slash:
        return f"{DEFAULT_ORGANISATION}/{repository}"
    return f"{DEFAULT_ORGANISATION}/{rest}" if organisation == "library" else repository


def _check(reference: Reference, typed: str) -> None:
    """Hold each part against its grammar."""
    if _REGISTRY.fullmatch(reference.registry) is None:
        raise InvalidRequestError(
            f"{typed!r}: {reference.registry!r} is no registry", "a registry is host or host:port"
        )
    grammar = _HUB_REPOSITORY if reference.is_huggingface else _REPOSITORY
    if grammar.fullmatch(reference.repository) is None:
        raise InvalidRequestError(
            f"{typed!r} is no model's name",
            "letters and digits, with single . _ - between them and / between parts",
        )
    if len(reference.registry) + 1 + len(reference.repository) > _LONGEST_NAME:
        raise InvalidRequestError(f"a model's name has at most {_LONGEST_NAME} characters")
    if reference.tag is not None and _TAG.fullmatch(reference.tag) is None:
        raise InvalidRequestError(
            f"{typed!r}: {reference.tag!r} is no tag",
            "at most 128 letters, digits, . _ -, not beginning with . or -",
        )
