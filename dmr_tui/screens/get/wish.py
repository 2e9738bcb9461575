"""What is meant by the text in the box: words to search for, a model's name, or a file."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote, urlsplit

from dmr_tui.errors import DmrError
from dmr_tui.store.transfer.hub.name import parse_source

_COMMAND = re.compile(
    r"^(?:(?:docker\s+model|dmr|ollama)\s+(?:run|pull)\s+(\S+)|(?:run|pull|get)\s+(\S+)$)"
)
_HUGGING_FACE = ("huggingface.co", "hf.co", "www.huggingface.co")
_DOCKER_HUB = ("hub.docker.com", "docker.io", "index.docker.io")
_PATH = re.compile(r"^(?:~|\.{0,2}/)")


@dataclass(frozen=True)
class Words:
    """Something to search for; no words: what is popular."""

    text: str


@dataclass(frozen=True)
class Named:
    """One model, by what `pull` takes."""

    name: str


@dataclass(frozen=True)
class LocalFile:
    """A GGUF file on this machine's disk."""

    path: Path


Wish = Words | Named | LocalFile


def parse_wish(text: str) -> Wish:
    """Understand what was typed or pasted: also a web page's address, or another tool's command."""
    clean = " ".join(text.split())
    if command := _COMMAND.match(clean):
        clean = command[1] or command[2]
    if clean.startswith(("http://", "https://")):
        return _of_page(clean)
    if _PATH.match(clean) or (clean.lower().endswith(".gguf") and Path(clean).is_file()):
        return LocalFile(Path(clean).expanduser().absolute())
    if _is_name(clean):
        return Named(clean)
    return Words(clean)


def _is_name(text: str) -> bool:
    """Whether a text can only be a name: it has a host, or a tag."""
    if " " in text or text.endswith((":", "/")):
        return False
    host, slash, rest = text.partition("/")
    tagged = ":" in text.rpartition("/")[2]
    if not tagged and not (slash and rest and re.search(r"[.:]|^localhost$", host)):
        return False
    hugging_face = host.lower() in _HUGGING_FACE
    if hugging_face and not re.match(r"[^/]+/[^/:@]+", rest):
        return False  # half a name
    try:
        parse_source(text, default_registry="docker.io")
    except DmrError:
        return False
    return True


def _of_page(address: str) -> Wish:
    try:
        parts = urlsplit(address)
    except ValueError:
        return Words(address)
    path = [unquote(part) for part in parts.path.split("/") if part]
    host = parts.netloc.lower()
    if host in _HUGGING_FACE and len(path) >= 2:
        return Named(_of_hugging_face(path))
    if host in _DOCKER_HUB and path:
        return Named(_of_docker_hub(path))
    if host.endswith("ollama.com") and path:
        return Words(path[-1].partition(":")[0])
    return Named("/".join([host, *path])) if path else Words(host)


def _of_hugging_face(path: list[str]) -> str:
    """`ORG/REPO`, maybe with `tree/REVISION` or `blob/REVISION/FILE`."""
    name = f"hf.co/{path[0]}/{path[1]}"
    if path[2:3] in (["blob"], ["resolve"]) and len(path) > 4:
        file = "/".join(path[4:])
        if file.lower().endswith(".gguf"):
            name += f":{file}"
    if path[2:3] in (["blob"], ["resolve"], ["tree"]) and path[3:] and path[3] != "main":
        name += f"@{path[3]}"
    return name


def _of_docker_hub(path: list[str]) -> str:
    """`r/ORG/NAME`, `layers/ORG/NAME/TAG`, `repository/docker/ORG/NAME`."""
    if path[0] == "layers" and len(path) > 3:
        return f"{path[1]}/{path[2]}:{path[3]}"
    if path[0] == "repository":
        path = path[1:]
    if path[0] in ("r", "docker", "_"):
        path = path[1:]
    return "/".join(path[:2])
