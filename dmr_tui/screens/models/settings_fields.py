"""The settings of a model as a person writes them, and back."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import msgspec

from dmr_tui.engine.checks import check_sampling
from dmr_tui.engine.context import DEFAULT_CONTEXT, POOLED_CONTEXT, TRAINING, choose_context_size
from dmr_tui.engine.profile import Profile
from dmr_tui.engine.request import MIN_P, TEMPERATURE, TOP_K, TOP_P, Sampling
from dmr_tui.errors import InvalidRequestError
from dmr_tui.settings import Settings, parse_duration
from dmr_tui.store.manifest import ModelConfig

_ENGINES = ("llama.cpp", "llama-server")
_SAMPLING = {
    "temperature": f"{TEMPERATURE:g}",
    "top_p": f"{TOP_P:g}",
    "top_k": str(TOP_K),
    "min_p": f"{MIN_P:g}",
    "repeat_penalty": "1",
    "seed": "random",
}
_ELSEWHERE = "its server's"
"""What a server that runs elsewhere is set to is not known."""


@dataclass(frozen=True)
class SettingField:
    """One setting.

    Attributes:
        key: its name in `Profile` or in `Sampling`.
        label: what stands before it.
        explanation: what it does, and what may be written.
        read: the value of a text.
        write: the text of a value.
        sampling: it belongs to `Sampling`.
    """

    key: str
    label: str
    explanation: str
    read: Callable[[str], Any]
    write: Callable[[Any], str]
    sampling: bool = False


def _whole(least: int) -> Callable[[str], int]:
    def read(text: str) -> int:
        try:
            number = int(text.replace(" ", "").replace("_", ""))
        except ValueError:
            raise ValueError("a whole number") from None
        if number < least:
            raise ValueError(f"{least} or more")
        return number

    return read


def _context(text: str) -> int:
    if text.lower() in ("trained", "max", "-1"):
        return TRAINING
    scaled = text.lower().removesuffix("k")
    return _whole(1)(scaled) * (1024 if scaled != text.lower() else 1)


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise ValueError("a number") from None


def _duration(text: str) -> float:
    if text.lower() in ("forever", "for ever", "always"):
        return -1.0
    try:
        return parse_duration(text)
    except InvalidRequestError as error:
        raise ValueError(error.hint or error.message) from error


def _engine(text: str) -> str:
    if text not in _ENGINES:
        raise ValueError(" or ".join(_ENGINES))
    return text


def _switch(text: str) -> bool:
    words = {"on": True, "yes": True, "true": True, "off": False, "no": False, "false": False}
    if text.lower() not in words:
        raise ValueError("on or off")
    return words[text.lower()]


def _plain(value: Any) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)


def _write_context(value: int) -> str:
    if not value:
        return ""  # 0, as programs may set it, leaves the choice to others
    return "trained" if value < 0 else str(value)


def _write_duration(value: float) -> str:
    if value < 0:
        return "for ever"
    return f"{value / 60:g}m" if value and value % 60 == 0 else f"{value:g}s"


def _sampling(key: str, label: str, explanation: str, *, whole: bool = False) -> SettingField:
    read: Callable[[str], Any] = _whole(-1) if whole else _number
    return SettingField(key, label, explanation, read, _plain, sampling=True)


FIELDS: tuple[SettingField, ...] = (
    SettingField("context_size", "context", "tokens, 32k, or trained", _context, _write_context),
    SettingField(
        "keep_alive", "keep-alive", "30s, 5m, 1h30m, for ever", _duration, _write_duration
    ),
    SettingField("backend", "engine", " or ".join(_ENGINES), _engine, _plain),
    SettingField("threads", "threads", "of the processor", _whole(1), _plain),
    SettingField("gpu_layers", "GPU layers", "-1: as many as fit", _whole(-1), _plain),
    SettingField("context_shift", "context shift", "on: go on when it is full", _switch,
                 lambda value: "on" if value else "off"),
    _sampling("temperature", "temperature", "0: always the likeliest"),
    _sampling("top_p", "top_p", "0 to 1"),
    _sampling("top_k", "top_k", "0: no limit", whole=True),
    _sampling("min_p", "min_p", "0 to 1"),
    _sampling("repeat_penalty", "repeat penalty", "1: none"),
    _sampling("seed", "seed", "-1: another one each time", whole=True),
)  # fmt: skip


def write_settings(profile: Profile) -> dict[str, str]:
    """The text of each field; empty where nothing is set."""
    texts = {}
    for field in FIELDS:
        value = getattr(profile.sampling if field.sampling else profile, field.key)
        texts[field.key] = "" if value is None else field.write(value)
    return texts


def read_settings(texts: Mapping[str, str], before: Profile) -> Profile:
    """The profile that texts mean; an empty text leaves the choice to settings and model.

    Args:
        texts: by the keys of `FIELDS`.
        before: what these settings are changed in; what no field is for stays as it is.

    Raises:
        InvalidRequestError: a text means nothing; `param` names its field.
    """
    values: dict[str, Any] = {}
    sampling: dict[str, Any] = {}
    for field in FIELDS:
        text = texts.get(field.key, "").strip()
        try:
            value = field.read(text) if text else None
        except ValueError as error:
            raise InvalidRequestError(
                f"{field.label}: {text!r} is not {error}", param=field.key
            ) from error
        (sampling if field.sampling else values)[field.key] = value
    drawn: Sampling = msgspec.structs.replace(before.sampling, **sampling)
    check_sampling(drawn)
    return msgspec.structs.replace(before, sampling=drawn, **values)


def inherited(model: ModelConfig, settings: Settings | None, *, pools: bool) -> dict[str, str]:
    """What holds where a field is empty, and from where it is.

    Args:
        model: what its package says.
        settings: of the runner; None where they are not known.
        pools: it is an embedding model.
    """
    found = {key: f"{value} (default)" for key, value in _SAMPLING.items()}
    found |= {"backend": f"{_ENGINES[0]} (default)", "context_shift": "off (default)"}
    for key in ("context_size", "keep_alive", "threads", "gpu_layers"):
        found[key] = _ELSEWHERE
    if model.context_size:
        found["context_size"] = f"{_write_context(model.context_size)} (package)"
    elif settings is not None:
        found["context_size"] = _context_of(model, settings, pools=pools)
    if settings is not None:
        common, usual = settings, Settings()
        found["keep_alive"] = _with_source(
            _write_duration(common.keep_alive), common.keep_alive != usual.keep_alive
        )
        found["threads"] = f"{common.threads} (settings)" if common.threads else "one per core"
        found["gpu_layers"] = (
            f"{common.gpu_layers} (settings)" if common.gpu_layers >= 0 else "as many as fit"
        )
    return found


def _context_of(model: ModelConfig, settings: Settings, *, pools: bool) -> str:
    most = POOLED_CONTEXT if pools else DEFAULT_CONTEXT
    trained = model.trained_context or most
    size = choose_context_size(
        profile=None, package=None, settings=settings.context_size, trained=trained, default=most
    )
    return _with_source(str(min(size, trained) if pools else size), settings.context_size > 0)


def _with_source(value: str, is_set: bool) -> str:
    return f"{value} ({'settings' if is_set else 'default'})"
