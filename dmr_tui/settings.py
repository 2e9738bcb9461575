"""Settings: defaults, then the config file, then the environment.

The config file is TOML at `Paths.config_file`; its keys are the field names below. Unknown keys
and values of a wrong type are errors that name the file and the key.
"""

from __future__ import annotations

import os
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any, Literal

from dmr_tui.errors import InvalidRequestError
from dmr_tui.paths import Paths

DEFAULT_PORT = 12434


@dataclass(frozen=True)
class Settings:
    """What a person may choose once for all commands."""

    host: str = "127.0.0.1"
    """Address that `dmr serve` listens on (`DMR_HOST`)."""

    port: int = DEFAULT_PORT
    """TCP port of `dmr serve` (`MODEL_RUNNER_PORT`)."""

    keep_alive: float = 300.0
    """Seconds that an idle model stays in memory; negative: for ever (`DMR_KEEP_ALIVE`)."""

    context_size: int = 0
    """Context tokens for models that say nothing better; 0: up to 8192 (`DMR_CONTEXT_SIZE`)."""

    threads: int = 0
    """Threads of the engine; 0: one per physical core (`DMR_THREADS`)."""

    gpu_layers: int = -1
    """Layers to keep on the GPU; -1: as many as there are (`DMR_GPU_LAYERS`)."""

    llama_server: str = ""
    """A llama-server to use as second engine, or its folder; empty: the one on PATH
    (`LLAMA_SERVER_PATH`)."""

    default_registry: str = "docker.io"
    """Registry of names that have none (`DEFAULT_REGISTRY`)."""

    insecure_registry: bool = False
    """Speak plain HTTP to a registry that does not speak HTTPS (`INSECURE_REGISTRY`); one on this
    machine always may."""

    mirrors: str = ""
    """Base URLs, comma-separated, that are asked for models of Docker Hub before it
    (`MODEL_RUNNER_REGISTRY_MIRRORS`)."""

    pulls_at_once: int = 2
    """Models that the full screen fetches at the same time; the others wait in line
    (`DMR_PULLS_AT_ONCE`)."""

    origins: str = ""
    """Web origins that may use `dmr serve` besides this machine's own, comma-separated; a port may
    be `*`, and `*` alone allows all (`DMR_ORIGINS`)."""

    api_key: str = ""
    """What clients of `dmr serve` must bring as `Authorization: Bearer …`, and what is brought to
    the runner of `MODEL_RUNNER_HOST`; empty: nothing (`DMR_API_KEY`)."""

    save_chats: bool = True
    """Keep what is said in chats, on this machine (`DMR_SAVE_CHATS`)."""

    record_bodies: bool = True
    """Keep the texts of the newest requests in memory, for the screen of requests
    (`DMR_RECORD_BODIES`)."""

    log_level: Literal["debug", "info", "warn", "error"] = "info"
    """The runner's log leaves out what is below it (`LOG_LEVEL`)."""


_ENVIRONMENT = {
    "host": "DMR_HOST",
    "port": "MODEL_RUNNER_PORT",
    "keep_alive": "DMR_KEEP_ALIVE",
    "context_size": "DMR_CONTEXT_SIZE",
    "threads": "DMR_THREADS",
    "gpu_layers": "DMR_GPU_LAYERS",
    "llama_server": "LLAMA_SERVER_PATH",
    "default_registry": "DEFAULT_REGISTRY",
    "insecure_registry": "INSECURE_REGISTRY",
    "mirrors": "MODEL_RUNNER_REGISTRY_MIRRORS",
    "pulls_at_once": "DMR_PULLS_AT_ONCE",
    "origins": "DMR_ORIGINS",
    "api_key": "DMR_API_KEY",
    "save_chats": "DMR_SAVE_CHATS",
    "record_bodies": "DMR_RECORD_BODIES",
    "log_level": "LOG_LEVEL",
}
_LEVELS = {"debug": "debug", "info": "info", "warn": "warn", "warning": "warn", "error": "error"}
_TRUE, _FALSE = {"1", "t", "true", "yes", "on"}, {"0", "f", "false", "no", "off", ""}


def load_settings(paths: Paths | None = None, environ: Mapping[str, str] = os.environ) -> Settings:
    """Read the settings of this user.

    Raises:
        InvalidRequestError: the file or a variable holds something that is no setting.
    """
    file = (paths or Paths.default()).config_file
    settings = _from_table(Settings(), _read(file), file)
    named = {field: environ[name] for field, name in _ENVIRONMENT.items() if name in environ}
    for field, text in named.items():
        clean = text.strip().strip("\"'")
        if field == "log_level" and clean.lower() not in _LEVELS:
            continue  # the variable is other programs', too, with levels of their own
        if clean:
            value = _parse(field, clean, f"the environment variable {_ENVIRONMENT[field]}")
            settings = replace(settings, **{field: value})
    return settings


def _read(file: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(file.read_text("utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise InvalidRequestError(f"cannot read {file}: {error}") from error


def _from_table(settings: Settings, table: dict[str, Any], file: Path) -> Settings:
    known = {field.name for field in fields(Settings)}
    for key, value in table.items():
        if key not in known:
            raise InvalidRequestError(
                f"{file}: unknown setting {key!r}", f"known: {', '.join(sorted(known))}"
            )
        settings = replace(settings, **{key: _parse(key, value, f"{file}: {key}")})
    return settings


def _parse(field: str, value: Any, where: str) -> Any:
    kind = type(getattr(Settings, field))
    if kind is bool:
        text = str(value).lower()
        if text in _TRUE | _FALSE:
            return text in _TRUE
    elif field == "log_level":
        if level := _LEVELS.get(str(value).lower()):
            return level
        raise InvalidRequestError(
            f"{where}: {value!r} is no level", "use debug, info, warn or error"
        )
    elif kind is str and isinstance(value, str):
        return check_key(value, where) if field == "api_key" else value
    elif kind is float and field == "keep_alive" and isinstance(value, str):
        return parse_duration(value, where)
    elif not isinstance(value, bool):
        try:
            return kind(value)
        except (TypeError, ValueError):
            pass
    raise InvalidRequestError(f"{where}: {value!r} is not of type {kind.__name__}")


def check_key(key: str, where: str) -> str:
    """The key, if it can stand in a header: others would lock everybody out.

    Raises:
        InvalidRequestError: it cannot.
    """
    if key == key.strip() and all(" " <= sign <= "~" for sign in key):
        return key
    raise InvalidRequestError(
        f"{where}: a key cannot have letters beyond ASCII, or spaces at an end",
        "use A-Z, a-z, 0-9 and signs",
    )


_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}


def parse_duration(text: str, where: str = "duration") -> float:
    """Seconds of `5m`, `1h30m`, `90`, `-1`, `0`; negative means for ever.

    Raises:
        InvalidRequestError: the text is no duration.
    """
    clean = text.strip()
    try:
        return float(clean)
    except ValueError:
        pass
    parts = re.findall(r"(\d+(?:\.\d+)?)(ms|[smhd])", clean)
    if not parts or "".join(n + unit for n, unit in parts) != clean.lstrip("+-"):
        raise InvalidRequestError(
            f"{where}: {text!r} is no duration", "use 30s, 5m, 1h30m, 0 or -1"
        )
    seconds = sum(float(n) * _UNITS[unit] for n, unit in parts)
    return -seconds if clean.startswith("-") else seconds
