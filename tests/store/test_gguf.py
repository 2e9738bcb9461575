from __future__ import annotations

import itertools
import random
import struct
from collections.abc import Callable
from pathlib import Path

import pytest
from gguf import GGUFReader, GGUFValueType, GGUFWriter
from gguf.constants import GGML_QUANT_SIZES, GGMLQuantizationType, LlamaFileType
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dmr_tui.errors import InvalidRequestError
from dmr_tui.store import ggml
from dmr_tui.store.facts import human_count, human_size, metadata_texts, model_config
from dmr_tui.store.gguf import Array, GGUFHeader, read_header
from tests.support.gguf_maker import CHATML

Write = Callable[[GGUFWriter], None]


@pytest.fixture
def made(tmp_path: Path) -> Callable[[Write], GGUFHeader]:
    """A header read from a file that the reference writer wrote."""

    def make(fill: Write) -> GGUFHeader:
        path = tmp_path / "made.gguf"
        writer = GGUFWriter(str(path), "llama")
        fill(writer)
        writer.write_header_to_file()
        writer.write_kv_data_to_file()
        writer.write_ti_data_to_file()
        writer.close()
        return read_header(path)

    return make


def raw(*keys: bytes, tensors: bytes = b"", count: int = 0, version: int = 3) -> bytes:
    """A GGUF file by hand."""
    return struct.pack("<4sIQQ", b"GGUF", version, count, len(keys)) + b"".join(keys) + tensors


def text(value: bytes) -> bytes:
    return struct.pack("<Q", len(value)) + value


def key(name: bytes, kind: int, value: bytes) -> bytes:
    return text(name) + struct.pack("<I", kind) + value


def tensor(name: bytes, *shape: int, kind: int = 0, offset: int = 0) -> bytes:
    numbers = struct.pack(f"<I{len(shape)}QIQ", len(shape), *shape, kind, offset)
    return text(name) + numbers


def test_it_reads_what_the_reference_reader_reads(tiny_gguf: Path) -> None:
    header, reference = read_header(tiny_gguf), GGUFReader(str(tiny_gguf))
    fields = {name: f for name, f in reference.fields.items() if not name.startswith("GGUF.")}
    assert list(header.metadata) == list(fields)
    for name, field in fields.items():
        value = header.metadata[name]
        if field.types[0] == GGUFValueType.ARRAY:
            assert isinstance(value, Array)
            assert value.count == len(field.data)
            if value.values is not None:
                assert list(value.values) == field.contents()
        else:
            assert value == field.contents()
    assert header.data_offset == reference.data_offset
    for ours, theirs in zip(header.tensors, reference.tensors, strict=True):
        assert ours.name == theirs.name
        assert ours.shape == tuple(int(length) for length in theirs.shape)
        assert ours.type == theirs.tensor_type
        assert ours.elements == theirs.n_elements
        assert ours.size == theirs.n_bytes
        assert header.data_offset + ours.offset == theirs.data_offset


def test_the_tables_are_those_of_the_reference(tiny_gguf: Path) -> None:
    assert {
        number: (kind.name, kind.block, kind.size) for number, kind in ggml.TENSOR_TYPES.items()
    } == {int(kind): (kind.name, *GGML_QUANT_SIZES[kind]) for kind in GGMLQuantizationType}
    names = {int(kind): kind.name.removeprefix("MOSTLY_") for kind in LlamaFileType}
    del names[LlamaFileType.GUESSED]
    assert {**names, 0: "F32"} == ggml.FILE_TYPES


def test_what_people_want_to_know(tiny_gguf: Path) -> None:
    header = read_header(tiny_gguf)
    assert header.version == 3
    assert header.architecture == "llama"
    assert header.metadata["llama.context_length"] == 4096
    assert header.quantization == "Q8_0"
    assert header.chat_template == CHATML
    assert header.parameters == 426_624
    assert header.data_offset + header.size == tiny_gguf.stat().st_size


def test_long_arrays_are_counted_but_not_kept(made: Callable[[Write], GGUFHeader]) -> None:
    def fill(writer: GGUFWriter) -> None:
        writer.add_token_list([f"token {number}" for number in range(5000)])
        writer.add_array("scores", [float(number) for number in range(5000)])
        writer.add_array("layers", list(range(200)))
        writer.add_string("last", "reached")

    header = made(fill)
    assert header.metadata["tokenizer.ggml.tokens"] == Array(5000, None)
    assert header.metadata["scores"] == Array(5000, None)
    assert header.metadata["layers"] == Array(200, tuple(range(200)))
    assert header.metadata["last"] == "reached"


def test_a_config_holds_the_metadata_as_texts(made: Callable[[Write], GGUFHeader]) -> None:
    def fill(writer: GGUFWriter) -> None:
        writer.add_uint8("u8", 200)
        writer.add_int64("i64", -(2**40))
        writer.add_float32("f32", 1e-5)
        writer.add_float64("f64", 100000.0)
        writer.add_bool("yes", True)
        writer.add_array("words", ["a", "b"])
        writer.add_array("fifty", [1] * 50)
        writer.add_array("more", [1] * 51)

    assert metadata_texts(made(fill)) == {
        "general.architecture": "llama",
        "u8": "200",
        "i64": "-1099511627776",
        "f32": "0.000010",
        "f64": "100000.000000",
        "yes": "true",
        "words": "a, b",
        "fifty": ", ".join(["1"] * 50),
    }


def test_a_file_that_does_not_name_its_quantisation_is_judged_by_its_bytes(tmp_path: Path) -> None:
    path = tmp_path / "mixed.gguf"
    tensors = tensor(b"norm", 64) + tensor(b"a", 256, 8, kind=12, offset=256)
    path.write_bytes(raw(tensors=tensors, count=2).ljust(128, b"\0") + b"\0" * (256 + 8 * 144))
    header = read_header(path)
    assert header.quantization == "Q4_K"
    assert header.architecture == ""
    assert header.chat_template is None


def test_shards_are_described_together(tiny_gguf: Path) -> None:
    header = read_header(tiny_gguf)
    config = model_config([header, header], context_size=2048)
    assert config.parameters == "853.25K"
    assert config.size == "889.00KiB"
    assert config.format == "gguf"
    assert config.context_size == 2048
    assert model_config([header]).context_size is None


@pytest.mark.parametrize(
    ("number", "count", "size"),
    [
        (0, "0.00", "0.00B"),
        (999, "999.00", "999.00B"),
        (999_999, "1.00M", "976.56KiB"),
        (361_821_120, "361.82M", "345.06MiB"),
        (268_802_457, "268.80M", "256.35MiB"),
        (7_000_000_000, "7.00B", "6.52GiB"),
        (10**16, "10000.00T", "9094.95TiB"),
    ],
)
def test_numbers_for_people(number: int, count: str, size: str) -> None:
    assert human_count(number) == count
    assert human_size(number) == size


U32 = struct.Struct("<I").pack
U64 = struct.Struct("<Q").pack


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "does not begin with GGUF"),
        (b"GGML" + b"\0" * 64, "does not begin with GGUF"),
        (b"GGUF", "cut short"),
        (raw(version=1), "version 1 is not supported"),
        (raw(version=99), "version 99 is not supported"),
        (raw(version=0x03000000), "big-endian"),
        (raw(count=2**63), "claims 9223372036854775808 tensors"),
        (struct.pack("<4sIQQ", b"GGUF", 3, 0, 2**40), "claims 1099511627776 metadata keys"),
        (raw(key(b"k" * 70_000, 4, U32(1))), "too long"),
        (raw(key(b"k", 8, U64(2**60))), "too long"),
        (raw(key(b"k", 13, b"")), "unknown metadata type 13"),
        (raw(key(b"k", 9, U32(9) + U64(1))), "array of unknown type 9"),
        (raw(key(b"k", 9, U32(0) + U64(2**62))), "claims 4611686018427387904 elements"),
        (raw(key(b"k", 9, U32(8) + U64(2000) + b"\xff" * 16_000)), "cut short"),
        (raw(key(b"k", 9, U32(8) + U64(2000) + U64(0) * 1999 + U64(9))), "cut short"),
        (raw(key(b"k", 4, U32(1)), key(b"k", 4, U32(1))), "occurs twice"),
        (raw(key(b"general.alignment", 4, U32(0))), "alignment 0"),
        (raw(key(b"general.alignment", 4, U32(33))), "alignment 33"),
        (raw(key(b"general.alignment", 8, text(b"x"))), "alignment 'x'"),
        (raw(tensors=tensor(b"t"), count=1), "0 dimensions"),
        (raw(tensors=tensor(b"t", 1, 1, 1, 1, 1), count=1), "5 dimensions"),
        (raw(tensors=tensor(b"t", 2**40, 2**40), count=1), "claims"),
        (raw(tensors=tensor(b"t", 8), count=1), "tensor t ends at byte"),
        (raw(tensors=tensor(b"t", 8, offset=2**63), count=1), "tensor t ends at byte"),
    ],
    ids=itertools.count(),
)
def test_a_file_that_cannot_be_a_model_is_refused(tmp_path: Path, data: bytes, reason: str) -> None:
    path = tmp_path / "bad.gguf"
    path.write_bytes(data)
    with pytest.raises(InvalidRequestError, match=reason) as refused:
        read_header(path)
    assert str(path) in refused.value.message
    assert "\n" not in refused.value.message


def test_a_path_that_cannot_be_read_is_refused(tmp_path: Path) -> None:
    for path in (tmp_path / "absent.gguf", tmp_path):
        with pytest.raises(InvalidRequestError, match="cannot read"):
            read_header(path)


def test_a_file_cut_anywhere_is_refused(tiny_gguf: Path, tmp_path: Path) -> None:
    data, path = tiny_gguf.read_bytes(), tmp_path / "cut.gguf"
    header_end = read_header(tiny_gguf).data_offset
    dice = random.Random(5)
    cuts = [*range(200), *dice.sample(range(header_end), 200), header_end, len(data) - 1]
    for cut in cuts:
        path.write_bytes(data[:cut])
        with pytest.raises(InvalidRequestError):
            read_header(path)


def read_or_refuse(path: Path) -> GGUFHeader | None:
    """Nothing but these two may happen to a file, whatever is in it."""
    try:
        return read_header(path)
    except InvalidRequestError:
        return None


@settings(deadline=None, max_examples=300, suppress_health_check=list(HealthCheck))
@given(
    flips=st.lists(
        st.tuples(st.integers(0, 700) | st.integers(0, 27_647), st.integers(1, 255)),
        min_size=1,
        max_size=4,
    )
)
def test_a_file_with_flipped_bytes_is_read_or_refused(
    tiny_gguf: Path, tmp_path: Path, flips: list[tuple[int, int]]
) -> None:
    data = bytearray(tiny_gguf.read_bytes())
    for position, mask in flips:
        data[position] ^= mask
    path = tmp_path / "flipped.gguf"
    path.write_bytes(data)
    header = read_or_refuse(path)
    if header:
        assert model_config([header]).format == "gguf"
        assert all(header.data_offset + t.offset + t.size <= len(data) for t in header.tensors)


@settings(deadline=None, max_examples=200, suppress_health_check=list(HealthCheck))
@given(data=st.binary(max_size=300))
def test_any_bytes_after_the_magic_are_read_or_refused(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "any.gguf"
    path.write_bytes(b"GGUF\x03\0\0\0" + data)
    read_or_refuse(path)
