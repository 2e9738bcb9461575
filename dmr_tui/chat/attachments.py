"""Files in a message: `@notes.txt` becomes the text of that file, `@cat.png` the image.

The rules are Docker Model Runner's: what is no file stays as it was typed, images go before the
text, and what is inlined is not looked through again.
"""

from __future__ import annotations

import base64
import os
import re
import stat
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote

from dmr_tui.engine.request import ContentPart, ImagePart, ImageURL, TextPart
from dmr_tui.errors import InvalidRequestError

MAX_TEXT_BYTES = 1024 * 1024
"""More would not fit into any context that runs on one machine."""
MAX_IMAGE_BYTES = 100 * 1024 * 1024
"""Docker Model Runner's limit."""

_WORD = r"(?:\\.|[^\s\\])"
_MENTION = re.compile(
    r"""(?<![^\s(\[{<"'`])@(?:"(?P<double>[^"\n]+)"|'(?P<single>[^'\n]+)'|(?P<bare>"""
    + _WORD
    + "+))"
)
# What a terminal writes when an image is dropped onto it, and what people type without an `@`.
_IMAGE_PATH = re.compile(
    r"""(?<!\S)(?:"(?P<double>[^"\n]+)"|'(?P<single>[^'\n]+)'|(?P<bare>(?:~?/|\.\.?/|[A-Za-z]:\\)"""
    + _WORD
    + r"*))(?=[\s.,;:!?)]|$)"
)
_IMAGE_SUFFIX = re.compile(r"\.(?:png|jpe?g|webp)", re.IGNORECASE)
_PUNCTUATION = ".,;:!?)]}>'\"`"


@dataclass(frozen=True)
class Attached:
    """A message with its files in it.

    Attributes:
        text: the text of the files in place of their names.
        images: in the order in which they were named.
        files: every file that was read.
    """

    text: str
    images: tuple[ImagePart, ...] = ()
    files: tuple[Path, ...] = ()

    def content(self, more: str = "") -> str | list[ContentPart]:
        """What is sent: images first, then the text with `more` below it."""
        text = "\n\n".join(filter(None, (self.text, more)))
        if not self.images:
            return text
        return [*self.images, *([TextPart(text)] if text else [])]


def attach(text: str, folder: Path | None = None) -> Attached:
    r"""Read the files that a message names.

    `@path`, `@"path with blanks"` and `@path\ with\ blanks` name text files and images; the
    bare path of an image, as terminals write it for a dropped file, names it too.

    Args:
        text: the message as it was typed.
        folder: what relative paths are relative to; None: the working directory.

    Raises:
        InvalidRequestError: a named file is a folder, too large, unreadable, or neither text nor
            an image.
    """
    reader = _Reader(folder or Path())
    pieces: list[str] = []
    rest = 0
    # One pass over both kinds of names, so that inlined text is not searched for more.
    found = sorted(
        [*_MENTION.finditer(text), *_IMAGE_PATH.finditer(text)], key=lambda match: match.start()
    )
    for match in found:
        if match.start() < rest:
            continue
        mention = match.re is _MENTION
        read = reader.mention(match) if mention else reader.image_path(match)
        if read is None:
            continue
        inlined, end = read
        before = text[rest : match.start()]
        pieces += [before if inlined else before.removesuffix(" "), inlined]
        rest = end
    whole = "".join([*pieces, text[rest:]])
    return Attached(
        whole.strip() if reader.images else whole, tuple(reader.images), tuple(reader.files)
    )


def check_file(name: str, folder: Path | None = None) -> Path:
    """The file of that name, if it can be attached.

    Raises:
        InvalidRequestError: there is none, or as `attach` says.
    """
    path = _find(name, folder or Path())
    if path is None:
        raise InvalidRequestError(f"no such file: {name}")
    _read(path)
    return path


def is_image(path: Path) -> bool:
    """Whether a file holds an image that models can be shown: PNG, JPEG or WebP."""
    with path.open("rb") as file:
        return _image_type(file.read(16)) is not None


def image_at(text: str, folder: Path | None = None) -> str:
    """The path of an image, where a text is nothing but that, as terminals write a dropped file.

    Returns:
        The path without quotes and escapes; empty: it is none.
    """
    name = text.strip()
    if not name or "\n" in name:
        return ""
    if name[0] == name[-1] and name[0] in "\"'" and len(name) > 2:
        name = name[1:-1]
    if name.startswith("file://"):
        name = unquote(name.removeprefix("file://"))
    path = _find(name, folder or Path()) if _IMAGE_SUFFIX.fullmatch(Path(name).suffix) else None
    try:
        shown = path is not None and path.is_file() and is_image(path)
        return str(path.absolute()) if path is not None and shown else ""
    except OSError:
        return ""


def mention(path: str) -> str:
    """How a path is written after `@`."""
    if not re.search(r"[\s\\'\"]", path):
        return f"@{path}"
    return f'@"{path}"' if '"' not in path else f"@'{path}'"


class _Reader:
    """Reads the files of one message."""

    def __init__(self, folder: Path) -> None:
        self.images: list[ImagePart] = []
        self.files: list[Path] = []
        self._folder = folder

    def mention(self, match: re.Match[str]) -> tuple[str, int] | None:
        """What takes the place of `@…`, and where that ends in the text; None: no such file."""
        quoted = match["double"] or match["single"]
        if quoted:
            path = _find(quoted, self._folder)
            return None if path is None else (self._take(path), match.end())
        name = match["bare"]
        # The full stop behind a name belongs to the sentence, unless the file is called so.
        for end in range(len(name), len(name.rstrip(_PUNCTUATION)) - 1, -1):
            path = _find(name[:end], self._folder) if end else None
            if path is not None:
                return self._take(path), match.start("bare") + end
        return None

    def image_path(self, match: re.Match[str]) -> tuple[str, int] | None:
        """The same for the bare path of an image."""
        name = match["double"] or match["single"] or match["bare"].rstrip(_PUNCTUATION)
        path = _find(name, self._folder) if _IMAGE_SUFFIX.fullmatch(Path(name).suffix) else None
        if path is None or not path.is_file() or not is_image(path):
            return None
        bare = match["bare"]
        end = match.end() if bare is None else match.start("bare") + len(name)
        return self._take(path), end

    def _take(self, path: Path) -> str:
        """The text of a file; an image is put aside, and its text is empty."""
        data, image_type = _read(path)
        self.files.append(path)
        if image_type is None:
            return data.decode("utf-8-sig")
        encoded = base64.b64encode(data).decode("ascii")
        self.images.append(ImagePart(ImageURL(f"data:{image_type};base64,{encoded}")))
        return ""


def _find(name: str, folder: Path) -> Path | None:
    """The file or folder of that name, as typed or as a shell would read it."""
    for spelling in dict.fromkeys((name, re.sub(r"\\(.)", r"\1", name))):
        try:
            path = folder / Path(spelling).expanduser()
            path.stat()
        except (OSError, ValueError, RuntimeError):
            continue  # No such file; not even a possible name; no such user.
        return path
    return None


def _read(path: Path) -> tuple[bytes, str | None]:
    """The bytes of a file and, of an image, its media type."""
    try:
        # Opening a pipe would wait for its other end for ever.
        mode = path.stat().st_mode
        if stat.S_ISDIR(mode):
            raise InvalidRequestError(f"{path} is a folder", "name the files in it one by one")
        if not stat.S_ISREG(mode):
            raise InvalidRequestError(f"{path} is no regular file")
        with path.open("rb") as file:
            size = os.fstat(file.fileno()).st_size
            image_type = _image_type(file.read(16))
            limit = MAX_TEXT_BYTES if image_type is None else MAX_IMAGE_BYTES
            if size > limit:
                kind = "a text file" if image_type is None else "an image"
                raise InvalidRequestError(
                    f"{path} has {_megabytes(size)}; {kind} may have {_megabytes(limit)}"
                )
            file.seek(0)
            data = file.read(limit)
    except OSError as error:
        raise InvalidRequestError(f"cannot read {path}: {error.strerror}") from error
    if image_type is None:
        _check_text(path, data)
    return data, image_type


def _check_text(path: Path, data: bytes) -> None:
    try:
        data.decode("utf-8")
        binary = b"\0" in data
    except UnicodeDecodeError:
        binary = True
    if binary:
        raise InvalidRequestError(
            f"{path} is neither UTF-8 text nor a PNG, JPEG or WebP image",
            "convert it to text first",
        )


def _image_type(head: bytes) -> str | None:
    """Media type by the first bytes of a file."""
    if head.startswith(b"\x89PNG\r\n\x1a\n"):
        return "image/png"
    if head.startswith(b"\xff\xd8\xff"):
        return "image/jpeg"
    if head.startswith(b"RIFF") and head[8:12] == b"WEBP":
        return "image/webp"
    return None


def _megabytes(size: int) -> str:
    return f"{size / 1024 / 1024:.1f} MiB"
