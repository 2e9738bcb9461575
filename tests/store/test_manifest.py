from __future__ import annotations

import pytest

from dmr_tui.errors import InvalidRequestError
from dmr_tui.store.manifest import (
    CNCF_CONFIG,
    CONFIG_V01,
    CONFIG_V02,
    ModelConfig,
    parse_config,
)

CNCF = b"""{
  "descriptor": {"createdAt": "2025-01-01T00:00:00Z", "name": "m", "licenses": ["MIT"]},
  "modelfs": {"type": "layers", "diffIds": ["sha256:aa"]},
  "config": {"architecture": "llama", "format": "gguf", "paramSize": "8B",
             "quantization": "Q4_K_M", "capabilities": {"reasoning": true}}
}"""


@pytest.mark.parametrize("media_type", [CNCF_CONFIG, CONFIG_V02])
def test_a_model_pack_config_is_read_as_the_same_facts(media_type: str) -> None:
    config = parse_config(CNCF, media_type)
    assert config.config == ModelConfig(
        format="gguf", quantization="Q4_K_M", parameters="8B", architecture="llama"
    )
    assert config.created == 1735689600
    assert config.rootfs.diff_ids == ["sha256:aa"]


def test_a_model_pack_config_is_known_by_its_parameter_size_alone() -> None:
    config = parse_config(b'{"config": {"paramSize": "1B", "precision": "bf16"}}', CONFIG_V01)
    assert config.config == ModelConfig(parameters="1B", quantization="bf16")


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("2025-03-24T13:33:01.123456789Z", 1742823181),
        ("2025-03-24T14:33:01+01:00", 1742823181),
        ("2025-03-24T13:33:01", 1742823181),
        ("0001-01-01T00:00:00Z", 0),
        ("yesterday", 0),
        ("", 0),
    ],
)
def test_creation_times(text: str, seconds: int) -> None:
    data = b'{"config": {}, "descriptor": {"created": "%s"}}' % text.encode()
    assert parse_config(data).created == seconds


def test_a_config_with_little_in_it_is_still_one() -> None:
    assert parse_config(b"{}").config == ModelConfig()
    assert parse_config(b'{"config": {"format": "gguf", "new": [1]}}').config.format == "gguf"


@pytest.mark.parametrize("data", [b"", b"[]", b'{"config": {"format": 3}}', b"\xff"])
def test_what_is_no_config_is_refused(data: bytes) -> None:
    with pytest.raises(InvalidRequestError, match="not a model's config"):
        parse_config(data)
