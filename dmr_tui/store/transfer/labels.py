"""What the names of files and tags tell of a model: how large it is, and how it is quantized."""

from __future__ import annotations

import re

_QUANTIZATION = re.compile(
    r"(?:^|[-._/ ])((?:UD-)?(?:I?Q\d+(?:_[A-Z0-9]+)*|TQ\d_\d|MXFP4(?:_MOE)?|BF16|FP?16|FP?32))"
    r"(?=$|[-._/ ])",
    re.IGNORECASE,
)
_PARAMETERS = re.compile(
    r"(?:^|[-._/: ])(?:(\d+)x)?(\d+(?:\.\d+)?)([BM])(?=$|[-._/: ])", re.IGNORECASE
)
_SCALE = {"B": 1e9, "M": 1e6}


def quantization_in(text: str) -> str:
    """The quantization that a name tells, the last one it does; empty: none."""
    found: list[str] = _QUANTIZATION.findall(text)
    return found[-1] if found else ""


def parameters_in(text: str) -> int:
    """The number of parameters that a name tells, e.g. of `Qwen3-30B-A3B`; 0: it tells none."""
    found = _PARAMETERS.search(text)
    if found is None:
        return 0
    experts, number, scale = found.groups()
    return round(int(experts or 1) * float(number) * _SCALE[scale.upper()])
