"""One repository of one registry, over the OCI distribution API.

https://github.com/opencontainers/distribution-spec/blob/main/spec.md. A secret goes to the
registry's own origin only: a redirect leaves it behind, and a challenge from where a redirect led
is not answered.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import quote, urlencode, urlsplit

import msgspec
from msgspec import Struct
from oras import defaults
from oras.container import Container

from dmr_tui.errors import DmrError, ModelNotFoundError, RegistryError
from dmr_tui.store.manifest import LARGEST_MANIFEST
from dmr_tui.store.reference import DOCKER_HUB, Reference, is_digest
from dmr_tui.store.transfer.auth import Authorizer, parse_challenges
from dmr_tui.store.transfer.content import Content
from dmr_tui.store.transfer.credentials import Credentials
from dmr_tui.store.transfer.origins import HUB_ADDRESS, not_inward
from dmr_tui.store.transfer.retry import TransientError
from dmr_tui.store.transfer.wire import MALFORMED, Body, Wire, host_of, split_url

if TYPE_CHECKING:
    import httpx

INDEX_TYPES = (defaults.default_index_media_type, defaults.docker_manifest_list_media_type)
"""Media types of lists of manifests, one for each platform; no model has one."""

Chunks = Callable[[], Iterator[bytes]]

_MOST_REDIRECTS = 10
_MOST_PAGES = 20
_TAGS = 200  # names of one page of tags
_LARGEST_PAGE = 8 << 20  # bytes of JSON
_NEXT = re.compile(r'<([^>]+)>\s*;\s*rel="?next"?')
_REDIRECTS = {301, 302, 303, 307, 308}
_REFUSALS = {401, 403}


class _Tags(Struct, frozen=True):
    tags: list[str] | None = None


@dataclass(frozen=True)
class RemoteManifest:
    """A manifest as a registry sent it; its digest has been checked."""

    data: bytes
    media_type: str
    digest: str


class Repository:
    """One repository: its manifests and blobs.

    Attributes:
        blobs: where `fetch` gets them.
    """

    def __init__(
        self,
        wire: Wire,
        base: str,
        reference: Reference,
        *,
        push: bool = False,
        credentials: Callable[[str], Credentials],
    ) -> None:
        """Nothing is sent yet.

        Args:
            wire: what carries the requests.
            base: the registry's or a mirror's base URL.
            reference: names the repository.
            push: ask for the right to push along with that to pull.
            credentials: finds what a person has for a registry.
        """
        self._wire = wire
        self._origin = origin(base)
        self._reference = reference
        # A host in front, or oras takes a first part with a dot for the registry.
        self._urls = Container(f"registry.invalid/{reference.repository}")
        self._urls.registry = base
        mirrored = base != HUB_ADDRESS and reference.registry == DOCKER_HUB
        self._name = urlsplit(base).netloc if mirrored else reference.registry
        self._suffix = f"@{reference.digest}" if reference.digest else f":{reference.tag}"
        actions = "pull,push" if push else "pull"
        self._authorizer = Authorizer(
            wire,
            base,
            f"repository:{reference.repository}:{actions}",
            self._name,
            lambda: credentials(self._name),
        )
        self.blobs = Content(
            wire,
            lambda url, headers: self._send("GET", url, headers, retry=False),
            address=self._urls.get_blob_url,
            secret=lambda url: self._authorizer.header() if origin(url) == self._origin else "",
            failure=lambda response, digest: self._error(response, f"the blob {digest}"),
        )

    def tags(self) -> list[str]:
        """The names of the repository's tags, as the registry orders them; the first thousands.

        Raises:
            ModelNotFoundError: the registry knows no such repository.
            UnauthorizedError: it wants another login.
            RegistryError: it fails.
        """
        url, found = f"{self._urls.tags_url()}?n={_TAGS}", list[str]()
        for _ in range(_MOST_PAGES):
            response = self._send("GET", url, {"Accept": "application/json"})
            if response.status_code != 200:
                raise self._error(response, "the manifest of any tag")
            try:
                page = msgspec.json.decode(self._wire.read(response, _LARGEST_PAGE), type=_Tags)
            except MALFORMED as error:
                raise RegistryError(f"{self._name} sent no list of tags: {error}") from error
            finally:
                response.close()
            found += page.tags or []
            following = _NEXT.search(response.headers.get("Link", ""))
            if following is None:
                break
            url = split_url(following[1], url).geturl()
            if origin(url) != self._origin:
                raise RegistryError(f"{self._name} continues its list elsewhere: {url}")
        return found

    def manifest(self, tag: str = "") -> RemoteManifest:
        """Get the manifest that the reference names, or the one of another tag.

        Raises:
            ModelNotFoundError: the registry knows no such model.
            UnauthorizedError: it wants another login.
            RegistryError: it fails, or sends bytes that do not match their digest.
        """
        wanted = tag or self._reference.digest or self._reference.tag
        url = self._urls.manifest_url(wanted)
        response = self._send(
            "GET", url, {"Accept": ", ".join(defaults.default_manifest_accepted_media_types)}
        )
        if response.status_code != 200:
            raise self._error(response, f"the manifest {wanted}")
        try:
            data = self._wire.read(response, LARGEST_MANIFEST)
        finally:
            response.close()
        digest = "sha256:" + hashlib.sha256(data).hexdigest()
        told = response.headers.get("Docker-Content-Digest", "")
        for expected in ("" if tag else self._reference.digest, told):
            if expected and not _matches(expected, data):
                raise RegistryError(
                    f"{self._name} sent a manifest that is not {expected}: its bytes are {digest}"
                )
        media_type = response.headers.get("Content-Type", "").partition(";")[0]
        return RemoteManifest(data, media_type, digest)

    def greet(self) -> None:
        """See whether a registry answers here at all.

        Raises:
            UnreachableError: nobody does.
        """
        response = self._wire.send("GET", f"{self._urls.registry}/v2/")
        self._wire.discard(response)

    def has(self, digest: str) -> bool:
        """Whether the registry says that it holds a blob."""
        response = self._send("HEAD", self._urls.get_blob_url(digest))
        response.close()
        return response.status_code == 200

    def mount(self, digest: str, repository: str) -> bool:
        """Have a blob that another repository of the same registry holds; False: it cannot be."""
        query = urlencode({"mount": digest, "from": repository}, safe=":/")
        url = f"{self._urls.upload_blob_url()}?{query}"
        response = self._send("POST", url, {"Content-Length": "0"})
        self._wire.discard(response)
        # 202 is an upload that was begun instead; the registry forgets it by itself.
        return response.status_code == 201

    def begin_upload(self) -> str:
        """Begin to send a blob; returns the address of this upload.

        Raises:
            TransientError: there was no answer.
            RegistryError: the registry does not take it.
        """
        url = self._urls.upload_blob_url()
        response = self._send("POST", url, {"Content-Length": "0"}, retry=False)
        if response.status_code != 202 or "Location" not in response.headers:
            raise self._error(response, "an upload")
        self._wire.discard(response)
        return split_url(response.headers["Location"], url).geturl()

    def send(self, session: str, start: int, stop: int, body: Chunks) -> str:
        """Send bytes of a blob; returns the upload's next address.

        Args:
            session: the upload's address.
            start: offset of the first byte.
            stop: offset after the last one.
            body: begins to read them, anew at each call.

        Raises:
            TransientError: the connection broke; `sent` tells what has arrived.
            RegistryError: the registry does not take them.
        """
        headers = {**_octets(stop - start), "Content-Range": f"{start}-{stop - 1}"}
        response = self._send("PATCH", session, headers, body, retry=False)
        if response.status_code not in (202, 204):
            raise self._error(response, "an upload")
        self._wire.discard(response)
        return split_url(response.headers.get("Location", session), session).geturl()

    def sent(self, session: str) -> tuple[int, str] | None:
        """How many bytes of an upload have arrived, and its next address; None: it is lost."""
        response = self._send("GET", session)
        self._wire.discard(response)
        found = re.fullmatch(r"(?:bytes=)?0-(\d{1,19})", response.headers.get("Range", ""))
        if response.status_code != 204 or found is None:
            return None
        # Registries say "0-0" of nothing too; that it is one byte hardly ever happens.
        stop = int(found[1]) + 1 if int(found[1]) else 0
        return stop, split_url(response.headers.get("Location", session), session).geturl()

    def finish_upload(self, session: str, digest: str, size: int, body: Chunks | None) -> None:
        """End an upload, with all of its bytes or after they were sent.

        Raises:
            TransientError: the connection broke.
            RegistryError: the registry does not take it.
        """
        # The upload's state is in the address: it is added to, never built anew.
        session += f"{'&' if '?' in session else '?'}digest={quote(digest, safe='')}"
        headers = _octets(size) if body else {"Content-Length": "0"}
        response = self._send("PUT", session, headers, body, retry=False)
        if response.status_code not in (201, 204):
            raise self._error(response, f"the blob {digest}")
        self._wire.discard(response)

    def hang_up(self) -> None:
        """End all connections: what goes over them fails with `TransientError`."""
        self._wire.hang_up()

    def put_manifest(self, data: bytes, media_type: str) -> None:
        """Store a manifest under the reference's tag, once its blobs are there.

        Raises:
            RegistryError: the registry does not take it, or made something else of it.
        """
        url = self._urls.manifest_url(self._reference.tag)
        response = self._send("PUT", url, {"Content-Type": media_type}, data)
        if response.status_code not in (200, 201):
            raise self._error(response, f"the manifest {self._reference.tag}")
        stored = response.headers.get("Docker-Content-Digest", "")
        self._wire.discard(response)
        if stored and not _matches(stored, data):
            raise RegistryError(f"{self._name} stored the manifest as {stored}: not what was sent")

    def _send(
        self,
        method: str,
        url: str,
        headers: Mapping[str, str] | None = None,
        body: Body = None,
        *,
        retry: bool = True,
    ) -> httpx.Response:
        """Send with the right `Authorization`, answer one challenge, follow redirects of reads."""
        answered = False
        for _ in range(_MOST_REDIRECTS + 2):
            own = origin(url) == self._origin
            secret = self._authorizer.header() if own else ""
            signed = {**(headers or {}), "Authorization": secret} if secret else headers
            response = self._wire.send(method, url, headers=signed, body=body, retry=retry)
            status = response.status_code
            if status == 401 and own and not answered:
                challenges = parse_challenges(response.headers.get_list("WWW-Authenticate"))
                answered = self._authorizer.answer(challenges, secret)
                if not answered:
                    return response
            elif status in _REDIRECTS and method in ("GET", "HEAD"):
                url = self._follow(response, url)
            else:
                return response
            self._wire.discard(response)
        raise RegistryError(f"{self._name} redirects without end: {url}")

    def _follow(self, response: httpx.Response, url: str) -> str:
        target = split_url(response.headers.get("Location", ""), url).geturl()
        if target == url:
            raise RegistryError(f"{host_of(response)} redirects to itself: {url}")
        return not_inward(target, self._origin[1])

    def _error(self, response: httpx.Response, what: str) -> DmrError:
        """The failure that an unexpected answer means; closes it."""
        status = response.status_code
        problem = self._wire.problem(response)
        if origin(str(response.url)) != self._origin:
            # A content server's signed address may have run out: the registry makes a new one.
            return TransientError(f"{problem} (for {what})")
        if status in _REFUSALS:
            return self._authorizer.refusal(self._reference.repository)
        if "manifest" in what and status == 404:
            return ModelNotFoundError(
                f"{self._name} has no model {self._reference.repository}{self._suffix}",
                "check the name and the tag",
            )
        return RegistryError(f"{problem} (for {what})")


def _octets(size: int) -> dict[str, str]:
    return {"Content-Length": str(size), "Content-Type": "application/octet-stream"}


def origin(url: str) -> tuple[str, str, int | None]:
    """What decides whether a secret may go to an address (RFC 6454)."""
    parts = split_url(url)
    port = parts.port or {"http": 80, "https": 443}.get(parts.scheme)
    return parts.scheme, parts.hostname or "", port


def _matches(digest: str, data: bytes) -> bool:
    algorithm, _, expected = digest.partition(":")
    return is_digest(digest) and hashlib.new(algorithm, data).hexdigest() == expected
