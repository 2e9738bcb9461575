"""A stand-in of the Hugging Face Hub, and of the content server it redirects to, on loopback.

Answers have the shapes of the real ones: pages of a tree, digests of large files, signed addresses
that run out, error codes in headers.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from tests.support.stand_in import Request, StandIn, serving

COMMIT = "0123456789abcdef0123456789abcdef01234567"
MODIFIED = "2025-03-04T05:06:07.000Z"
LARGE = 1000
"""Bytes from which a file counts as a large one, with a known digest."""


@dataclass
class ContentServer(StandIn):
    """Serves signed addresses; each is good for `uses` requests."""

    uses: int = 1_000_000
    signed: dict[str, int] = field(default_factory=dict)

    def sign(self, digest: str) -> str:
        signature = f"s{len(self.signed)}"
        self.signed[signature] = 0
        return f"http://{self.host}/repos/{digest}?X-Amz-Signature={signature}"

    def obey(self, request: Request) -> None:
        parts = urlsplit(request.path)
        signature = parse_qs(parts.query).get("X-Amz-Signature", [""])[0]
        if self.signed.get(signature, self.uses) >= self.uses:
            request.answer(403, b"<Error><Code>AccessDenied</Code></Error>")
            return
        self.signed[signature] += 1
        request.write(request.begin(self.blobs[parts.path.rpartition("/")[2]]))


@dataclass
class HubStandIn(StandIn):
    """The Hub: repositories, each with its files."""

    content: ContentServer = field(default_factory=ContentServer)
    repositories: dict[str, dict[str, bytes]] = field(default_factory=dict)
    page: int = 1000
    """Entries of one page of a tree."""
    token: str = ""
    """What one must show; empty: nothing."""
    gated: bool = False
    found: list[dict[str, Any]] = field(default_factory=list)
    """What a search answers."""

    def repository(self, name: str, files: dict[str, bytes]) -> None:
        """Put a repository in."""
        self.repositories[name] = files
        self.content.blobs |= {f"sha256:{_sha256(data)}": data for data in files.values()}

    def obey(self, request: Request) -> None:
        parts = urlsplit(request.path)
        path = unquote(parts.path)
        if path == "/api/models":
            request.answer(200, json.dumps(self.found).encode())
            return
        if self.token and request.headers.get("authorization") != f"Bearer {self.token}":
            code = "GatedRepo" if self.gated else "RepoNotFound"
            request.answer(401, b'{"error":"no"}', X_Error_Code=code)
            return
        for name, files in self.repositories.items():
            if path == f"/api/models/{name}/revision/main":
                body = {"sha": COMMIT, "lastModified": MODIFIED, "gated": self.gated}
                request.answer(200, json.dumps(body).encode())
            elif path.startswith(f"/api/models/{name}/revision/"):
                request.answer(404, b"{}", X_Error_Code="RevisionNotFound")
            elif path in (f"/api/models/{name}/tree/{COMMIT}", f"/api/models/{name}/tree/main"):
                self._tree(request, files, parts.query)
            elif path.startswith(f"/{name}/resolve/{COMMIT}/"):
                self._resolve(request, files, path.partition(f"{COMMIT}/")[2])
            else:
                continue
            return
        request.answer(404, b'{"error":"Repository not found"}', X_Error_Code="RepoNotFound")

    def _tree(self, request: Request, files: dict[str, bytes], query: str) -> None:
        cursor = int(parse_qs(query).get("cursor", ["0"])[0])
        entries: list[dict[str, Any]] = [
            {"type": "directory", "path": "folder", "oid": "", "size": 0}
        ]
        entries += [_entry(path, data) for path, data in sorted(files.items())]
        headers = {}
        if cursor + self.page < len(entries):
            url = f"http://{self.host}{request.path.partition('?')[0]}?cursor={cursor + self.page}"
            headers["Link"] = f'<{url}>; rel="next"'
        body = json.dumps(entries[cursor : cursor + self.page]).encode()
        request.answer(200, body, **headers)

    def _resolve(self, request: Request, files: dict[str, bytes], path: str) -> None:
        data = files.get(path)
        if data is None:
            request.answer(404, b"", X_Error_Code="EntryNotFound")
        elif len(data) >= LARGE:
            target = self.content.sign(f"sha256:{_sha256(data)}")
            request.answer(302, Location=target, X_Linked_Size=str(len(data)))
        else:
            request.answer(200, data)


@contextmanager
def hub_stand_in() -> Iterator[HubStandIn]:
    """Run both servers for as long as the block lasts."""
    with serving(ContentServer()) as content, serving(HubStandIn(content=content)) as hub:
        yield hub


def _entry(path: str, data: bytes) -> dict[str, Any]:
    git = hashlib.sha1(f"blob {len(data)}\0".encode() + data).hexdigest()
    entry: dict[str, Any] = {"type": "file", "path": path, "oid": git, "size": len(data)}
    if len(data) >= LARGE:
        entry["oid"] = "f" * 40
        entry["lfs"] = {"oid": _sha256(data), "size": len(data), "pointerSize": 134}
    return entry


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
