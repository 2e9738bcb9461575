"""Reading the header of a GGUF file: what a model is, without touching its weights.

Format: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md, versions 2 and 3, little
endian. The file is mapped, not read, and long arrays (a tokenizer's vocabulary) are stepped over.
"""

from __future__ import annotations

import mmap
from collections import Counter
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from struct import Struct, error
from typing import NamedTuple

from dmr_tui.errors import InvalidRequestError
from dmr_tui.store.ggml import FILE_TYPES, TENSOR_TYPES

MAGIC = b"GGUF"
_VERSIONS = (2, 3)
_DEFAULT_ALIGNMENT = 32

# Far above what any model has, far below what would keep a machine busy with a damaged file.
_MOST_KEYS = 1 << 16
_MOST_TENSORS = 1 << 20
_MOST_ELEMENTS = 1 << 62
_LONGEST_NAME = (1 << 16) - 1
_MOST_DIMENSIONS = 4
_LONGEST_KEPT_ARRAY = 1024

_STRING, _ARRAY = 8, 9
_SCALARS = {
    0: Struct("<B"),
    1: Struct("<b"),
    2: Struct("<H"),
    3: Struct("<h"),
    4: Struct("<I"),
    5: Struct("<i"),
    6: Struct("<f"),
    7: Struct("<?"),
    10: Struct("<Q"),
    11: Struct("<q"),
    12: Struct("<d"),
}
_U32, _U64 = Struct("<I"), Struct("<Q")

Scalar = int | float | bool | str


@dataclass(frozen=True, slots=True)
class Array:
    """An array of the metadata.

    Attributes:
        count: how many elements it has.
        values: the elements; None for an array too long to be anything but a vocabulary.
    """

    count: int
    values: tuple[Scalar, ...] | None


Value = Scalar | Array


class Tensor(NamedTuple):
    """One tensor's place in the file."""

    name: str
    shape: tuple[int, ...]
    type: int
    """Number of the type, see `ggml.TENSOR_TYPES`."""
    offset: int
    """Bytes from the start of the data."""

    @property
    def elements(self) -> int:
        """How many numbers it holds."""
        count = 1
        for length in self.shape:
            count *= length
        return count

    @property
    def size(self) -> int:
        """Bytes; 0 for a type newer than this program."""
        kind = TENSOR_TYPES.get(self.type)
        return self.elements // kind.block * kind.size if kind else 0


@dataclass(frozen=True)
class GGUFHeader:
    """What a GGUF file says about itself.

    Attributes:
        path: the file.
        version: of the format.
        metadata: keys in the file's order.
        tensors: in the file's order.
        data_offset: bytes before the first tensor's data.
    """

    path: Path
    version: int
    metadata: dict[str, Value]
    tensors: tuple[Tensor, ...]
    data_offset: int

    @property
    def architecture(self) -> str:
        """E.g. `llama`; empty when the file does not say."""
        return self.text("general.architecture") or ""

    @property
    def chat_template(self) -> str | None:
        """The model's own Jinja template."""
        return self.text("tokenizer.chat_template")

    @cached_property
    def parameters(self) -> int:
        """How many numbers all tensors hold."""
        return sum(tensor.elements for tensor in self.tensors)

    @cached_property
    def size(self) -> int:
        """Bytes of all tensors."""
        return sum(tensor.size for tensor in self.tensors)

    @property
    def quantization(self) -> str:
        """E.g. `Q4_K_M`: what the file says, else the type of most bytes; empty if unknown."""
        declared = self.metadata.get("general.file_type")
        if isinstance(declared, int) and declared in FILE_TYPES:
            return FILE_TYPES[declared]
        weights: Counter[str] = Counter()
        for tensor in self.tensors:
            if tensor.type in TENSOR_TYPES:
                weights[TENSOR_TYPES[tensor.type].name] += tensor.size
        return max(weights, key=lambda name: weights[name], default="")

    def text(self, key: str) -> str | None:
        """A string of the metadata; None when there is none under that key."""
        value = self.metadata.get(key)
        return value if isinstance(value, str) else None


def read_header(path: Path) -> GGUFHeader:
    """Read a GGUF file's metadata and tensor list.

    Raises:
        InvalidRequestError: it cannot be read, or is no whole GGUF file; the message names the
            file and the reason.
    """
    try:
        with path.open("rb") as file:
            if file.read(len(MAGIC)) != MAGIC:
                raise InvalidRequestError(f"{path} is not a GGUF file: it does not begin with GGUF")
            with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
                return _Reader(path, data).header()
    except OSError as failure:
        raise InvalidRequestError(f"cannot read {path}: {failure.strerror}") from failure


def read_beginning(data: bytes, name: str) -> dict[str, Value]:
    """The metadata in the first bytes of a GGUF file, up to where they are cut off.

    What a model is comes before its vocabulary, which takes megabytes: of the first array that is
    not all there the length is told, and nothing of what follows.

    Raises:
        InvalidRequestError: the bytes are not those of a GGUF file.
    """
    if not data.startswith(MAGIC):
        raise InvalidRequestError(f"{name} is not a GGUF file: it does not begin with GGUF")
    return _Reader(Path(name), data).beginning()


class _Reader:
    """Walks once through a header, mapped or in memory."""

    def __init__(self, path: Path, data: mmap.mmap | bytes) -> None:
        self._path = path
        self._data = data
        self._end = len(data)
        self._at = len(MAGIC)

    def header(self) -> GGUFHeader:
        try:
            version = self._version()
            tensors = self._count(_MOST_TENSORS, "tensors")
            keys = self._count(_MOST_KEYS, "metadata keys")
            metadata = self._metadata(keys)
            listed = tuple(self._tensor() for _ in range(tensors))
        except (error, OverflowError):  # a step beyond the file's end, or beyond any file's
            raise self._bad(f"it is cut short at byte {self._end}") from None
        alignment = metadata.get("general.alignment", _DEFAULT_ALIGNMENT)
        if not isinstance(alignment, int) or alignment < 1 or alignment & (alignment - 1):
            raise self._bad(f"alignment {alignment!r} is no power of two")
        start = -(-self._at // alignment) * alignment
        for tensor in listed:
            if start + tensor.offset + tensor.size > self._end:
                raise self._bad(
                    f"tensor {tensor.name} ends at byte {start + tensor.offset + tensor.size}, "
                    f"the file at byte {self._end}"
                )
        return GGUFHeader(self._path, version, metadata, listed, start)

    def beginning(self) -> dict[str, Value]:
        metadata: dict[str, Value] = {}
        try:
            self._version()
            self._count(_MOST_TENSORS, "tensors")
            for _ in range(self._count(_MOST_KEYS, "metadata keys")):
                key = self._text(_LONGEST_NAME)
                kind, start = self._number(_U32), self._at
                if kind == _ARRAY:
                    count = _U64.unpack_from(self._data, start + _U32.size)[0]
                    metadata[key] = Array(count, None)
                metadata[key] = self._value(kind)
        except (error, OverflowError, InvalidRequestError):
            if not metadata and self._at <= len(MAGIC) + _U32.size:
                raise self._bad("it is cut short, or of an unknown version") from None
        return metadata

    def _version(self) -> int:
        version = self._number(_U32)
        if version not in _VERSIONS:
            if version and version & 0xFFFF == 0:
                raise self._bad("it is big-endian; only little-endian files can run here")
            raise self._bad(f"version {version} is not supported, only 2 and 3")
        return version

    def _metadata(self, keys: int) -> dict[str, Value]:
        metadata: dict[str, Value] = {}
        for _ in range(keys):
            key = self._text(_LONGEST_NAME)
            if key in metadata:
                raise self._bad(f"key {key!r} occurs twice")
            metadata[key] = self._value(self._number(_U32))
        return metadata

    def _value(self, kind: int) -> Value:
        if kind == _ARRAY:
            return self._array()
        return self._scalar(kind)

    def _scalar(self, kind: int) -> Scalar:
        if kind == _STRING:
            return self._text(self._end)
        if kind not in _SCALARS:
            raise self._bad(f"unknown metadata type {kind} before byte {self._at}")
        value: Scalar = _SCALARS[kind].unpack_from(self._data, self._at)[0]
        self._at += _SCALARS[kind].size
        return value

    def _array(self) -> Array:
        kind, count = self._number(_U32), self._number(_U64)
        if kind != _STRING and kind not in _SCALARS:
            raise self._bad(f"array of unknown type {kind} before byte {self._at}")
        width = _U64.size if kind == _STRING else _SCALARS[kind].size
        if count > (self._end - self._at) // width:
            raise self._bad(f"an array claims {count} elements, more than the file can hold")
        if count <= _LONGEST_KEPT_ARRAY:
            return Array(count, tuple(self._scalar(kind) for _ in range(count)))
        if kind == _STRING:
            self._skip_strings(count)
        else:
            self._at += count * width
        return Array(count, None)

    def _skip_strings(self, count: int) -> None:
        # The only loop that runs a hundred thousand times: local names halve its time.
        at, data, length_at = self._at, self._data, _U64.unpack_from
        for _ in range(count):
            at += 8 + length_at(data, at)[0]
        if at > self._end:
            raise self._bad(f"it is cut short at byte {self._end}")
        self._at = at

    def _tensor(self) -> Tensor:
        name = self._text(_LONGEST_NAME)
        dimensions = self._number(_U32)
        if not 1 <= dimensions <= _MOST_DIMENSIONS:
            raise self._bad(f"tensor {name} has {dimensions} dimensions")
        shape = tuple(self._number(_U64) for _ in range(dimensions))
        tensor = Tensor(name, shape, self._number(_U32), self._number(_U64))
        if tensor.elements > _MOST_ELEMENTS:
            raise self._bad(f"tensor {name} claims {tensor.elements} elements")
        return tensor

    def _count(self, most: int, what: str) -> int:
        count = self._number(_U64)
        if count > most:
            raise self._bad(f"it claims {count} {what}")
        return count

    def _number(self, kind: Struct) -> int:
        value: int = kind.unpack_from(self._data, self._at)[0]
        self._at += kind.size
        return value

    def _text(self, longest: int) -> str:
        length = self._number(_U64)
        if length > min(longest, self._end - self._at):
            raise self._bad(f"a text of {length} bytes before byte {self._at} is too long")
        raw = self._data[self._at : self._at + length]
        self._at += length
        return raw.decode("utf-8", errors="replace")

    def _bad(self, reason: str) -> InvalidRequestError:
        return InvalidRequestError(
            f"{self._path} is not a usable GGUF file: {reason}",
            "the file may be damaged or not wholly downloaded",
        )
