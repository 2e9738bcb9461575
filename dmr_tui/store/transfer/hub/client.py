"""The Hugging Face Hub's API: what a repository holds, and where its files are.

https://huggingface.co/docs/hub/api. The person's token goes to the Hub's own address only, never to
the content servers that it redirects to.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar
from urllib.parse import quote

import msgspec
from msgspec import Struct

from dmr_tui.errors import (
    DmrError,
    InvalidRequestError,
    ModelNotFoundError,
    RegistryError,
    UnauthorizedError,
)
from dmr_tui.store.reference import is_digest
from dmr_tui.store.transfer.content import Content
from dmr_tui.store.transfer.origins import is_loopback, not_inward
from dmr_tui.store.transfer.registry import origin
from dmr_tui.store.transfer.retry import TransientError
from dmr_tui.store.transfer.wire import MALFORMED, Wire, host_of, split_url

if TYPE_CHECKING:
    import httpx

T = TypeVar("T")

_ENDPOINT = "https://huggingface.co"
_LARGEST_PAGE = 16 << 20  # bytes of JSON
_MOST_PAGES = 100
_MOST_REDIRECTS = 10
_REDIRECTS = {301, 302, 303, 307, 308}
_LARGEST_SMALL = 32 << 20
"""Bytes; the Hub keeps larger files in its large file storage, where their digest is known."""
_NEXT = re.compile(r'<([^>]+)>\s*;\s*rel="?next"?')


class _Lfs(Struct, frozen=True):
    oid: str
    size: int


class _Entry(Struct, frozen=True):
    """One entry of a tree."""

    type: str
    path: str
    oid: str = ""
    size: int = 0
    lfs: _Lfs | None = None


class Commit(Struct, frozen=True):
    """The commit that a revision means."""

    sha: str
    modified: str = msgspec.field(default="", name="lastModified")
    """RFC 3339."""


@dataclass(frozen=True)
class HubFile:
    """A file of a repository.

    Attributes:
        path: below the repository's root.
        size: bytes.
        digest: `sha256:…` of its bytes; empty for a small file, whose digest only Git knows.
        git: Git's own digest of a small file.
    """

    path: str
    size: int
    digest: str = ""
    git: str = ""


class Hub:
    """The Hub, seen by one person."""

    def __init__(
        self, wire: Wire, environ: Mapping[str, str] = os.environ, *, token: str = ""
    ) -> None:
        """Nothing is sent yet.

        Args:
            wire: what carries the requests.
            environ: may name another Hub (`HF_ENDPOINT`) and the person's token.
            token: of whoever asks, in place of the environment's.

        Raises:
            InvalidRequestError: `HF_ENDPOINT` is no address, or a token is none.
        """
        self._wire = wire
        self.endpoint = endpoint(environ)
        self._origin = origin(self.endpoint)
        safe = self._origin[0] == "https" or is_loopback(self._origin[1])
        if not _can_be_sent(token):
            raise InvalidRequestError("bearer-token (HF_TOKEN) holds characters that no token has")
        token = token or find_token(environ)
        self._secret = f"Bearer {token}" if token and safe else ""

    def commit(self, repository: str, revision: str) -> Commit:
        """The commit that a revision means now.

        Raises:
            ModelNotFoundError: no such repository or revision, or not for this person.
            UnauthorizedError: its owner wants terms to be accepted first.
            RegistryError: the Hub fails, or limits how often it may be asked.
        """
        path = f"/api/models/{quote(repository)}/revision/{quote(revision, safe='')}"
        found = self._json(self.endpoint + path, Commit, repository)[0]
        if not re.fullmatch(r"[0-9a-f]{40,64}", found.sha):
            raise RegistryError(f"the Hub sent {found.sha!r} where a commit was due")
        return found

    def files(self, repository: str, commit: Commit) -> list[HubFile]:
        """All files of a repository at a commit; raises like `commit`."""
        start = f"/api/models/{quote(repository)}/tree/{commit.sha}?recursive=true&expand=false"
        url, files = self.endpoint + start, list[HubFile]()
        for _ in range(_MOST_PAGES):
            entries, following = self._json(url, list[_Entry], repository)
            files += [_file(entry) for entry in entries if entry.type == "file"]
            if not following:
                return files
            url = split_url(following, url).geturl()
            if origin(url) != self._origin:
                raise RegistryError(f"the Hub continues its list elsewhere: {url}")
        raise RegistryError(f"hf.co/{repository} has too many files")

    def find(self, query: str, kind: type[T]) -> T:
        """What a search for models answers.

        Args:
            query: of the address, encoded.
            kind: of the answer.

        Raises:
            RegistryError: the Hub fails, or limits how often it may be asked.
        """
        return self._json(f"{self.endpoint}/api/models?{query}", kind, "")[0]

    def content(self, repository: str, commit: Commit, files: list[HubFile]) -> Content:
        """Where the bytes of large files come from."""
        paths = {file.digest: file.path for file in files if file.digest}
        return Content(
            self._wire,
            lambda url, headers: self._get(url, headers, retry=False),
            address=lambda digest: self._address(repository, commit, paths[digest]),
            secret=lambda url: self._secret if origin(url) == self._origin else "",
            failure=lambda response, digest: self._failure(response, repository, paths[digest]),
        )

    def read(self, repository: str, commit: Commit, file: HubFile) -> bytes:
        """The bytes of a small file, held against Git's digest of them.

        Raises:
            RegistryError: they are others.
        """
        if file.size > _LARGEST_SMALL:
            raise RegistryError(f"hf.co/{repository} offers {file.path} without a digest")
        response = self._get(self._address(repository, commit, file.path), {})
        if response.status_code != 200:
            raise self._failure(response, repository, file.path)
        try:
            data = self._wire.read(response, file.size)
        finally:
            response.close()
        # https://git-scm.com/book/en/v2/Git-Internals-Git-Objects
        known = hashlib.sha1(f"blob {len(data)}\0".encode() + data, usedforsecurity=False)
        if file.git and known.hexdigest() != file.git:
            raise RegistryError(f"the bytes received for {file.path} are not those of the commit")
        return data

    def _address(self, repository: str, commit: Commit, path: str) -> str:
        return f"{self.endpoint}/{quote(repository)}/resolve/{commit.sha}/{quote(path)}"

    def _get(self, url: str, headers: dict[str, str], *, retry: bool = True) -> httpx.Response:
        """Send with the token where it may go, and follow redirects, which leave it behind."""
        for _ in range(_MOST_REDIRECTS + 1):
            own = self._secret and origin(url) == self._origin
            signed = {**headers, "Authorization": self._secret} if own else headers
            response = self._wire.send("GET", url, headers=signed, retry=retry)
            if response.status_code not in _REDIRECTS:
                return response
            target = split_url(response.headers.get("Location", ""), url).geturl()
            self._wire.discard(response)
            not_inward(target, self._origin[1])
            if target == url:
                break
            url = target
        raise RegistryError(f"the Hub redirects without end: {url}")

    def _json(self, url: str, kind: type[T], repository: str) -> tuple[T, str]:
        """An answer, and where it is continued."""
        try:
            response = self._get(url, {"Accept": "application/json"})
        except TransientError as error:
            raise _limited(error, bool(self._secret)) from error
        if response.status_code != 200:
            raise self._failure(response, repository, "")
        try:
            data = self._wire.read(response, _LARGEST_PAGE)
            found = _NEXT.search(response.headers.get("Link", ""))
            return msgspec.json.decode(data, type=kind), found[1] if found else ""
        except MALFORMED as error:
            raise RegistryError(f"{host_of(response)} sent no list of files: {error}") from error
        finally:
            response.close()

    def _failure(self, response: httpx.Response, repository: str, path: str) -> DmrError:
        """The failure that an unexpected answer means; closes it."""
        status, code = response.status_code, response.headers.get("X-Error-Code", "")
        said = response.headers.get("X-Error-Message", "")
        problem = self._wire.problem(response)
        page = f"{self.endpoint}/{repository}"
        if origin(str(response.url)) != self._origin:
            return TransientError(f"{problem} (for {path})")
        if code == "GatedRepo":
            then = "then pull again" if self._secret else "then set HF_TOKEN to your token"
            return UnauthorizedError(
                f"hf.co/{repository} is gated: its owner wants you to accept terms first",
                f"accept them at {page}, {then}",
            )
        if code == "RevisionNotFound":
            return ModelNotFoundError(
                f"hf.co/{repository} has no such revision", f"see {page}/tree/main"
            )
        if code == "EntryNotFound" or (status == 404 and path):
            return ModelNotFoundError(f"hf.co/{repository} has no file {path}", f"see {page}")
        if status in (401, 404) or code == "RepoNotFound":
            hint = "check the name"
            if not self._secret:
                hint += "; for a private repository set HF_TOKEN to your token"
            return ModelNotFoundError(
                f"Hugging Face has no repository {repository}, or none that you may see", hint
            )
        if status == 403:
            reason = "".join(c for c in said if c.isprintable())[:200]
            return UnauthorizedError(
                f"Hugging Face refuses access to {repository}{': ' if reason else ''}{reason}",
                "check what your token (HF_TOKEN) may read",
            )
        return RegistryError(problem)


def endpoint(environ: Mapping[str, str]) -> str:
    """The Hub's address, or that of a mirror.

    Raises:
        InvalidRequestError: `HF_ENDPOINT` is no address.
    """
    base = environ.get("HF_ENDPOINT", "").strip().rstrip("/") or _ENDPOINT
    try:
        split_url(base)
    except RegistryError as error:
        raise InvalidRequestError(f"HF_ENDPOINT: {error.message}") from error
    return base


def find_token(environ: Mapping[str, str]) -> str:
    """The person's token, from where `hf auth login` and its libraries keep it; may be empty.

    Raises:
        InvalidRequestError: the environment holds what cannot be sent.
    """
    for name in ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN"):
        token = environ.get(name, "").strip()
        if token and not _can_be_sent(token):
            raise InvalidRequestError(
                f"{name} holds characters that no token has", "set it anew, without quotation marks"
            )
        if token:
            return token
    home = Path(environ.get("HF_HOME") or Path.home() / ".cache" / "huggingface")
    file = Path(environ.get("HF_TOKEN_PATH") or home / "token")
    try:
        text = file.read_text("utf-8").strip()
    except (OSError, UnicodeDecodeError):
        return ""
    return text if _can_be_sent(text) else ""


def _can_be_sent(token: str) -> bool:
    """Whether a token can stand in a header."""
    return token.isascii() and token.isprintable()


def _file(entry: _Entry) -> HubFile:
    if entry.lfs is None:
        return HubFile(entry.path, entry.size, git=entry.oid)
    digest = f"sha256:{entry.lfs.oid}"
    if not is_digest(digest) or entry.lfs.size < 0:
        raise RegistryError(f"the Hub offers {entry.path} with the digest {digest!r}")
    return HubFile(entry.path, entry.lfs.size, digest)


def _limited(error: TransientError, known: bool) -> DmrError:
    if error.status != 429:
        return error
    wait = f" for {error.retry_after} s" if error.retry_after.isdecimal() else ""
    return RegistryError(
        f"Hugging Face limits how often it may be asked: wait{wait}, then try again",
        None if known else "with a token (HF_TOKEN) the limit is higher",
    )
