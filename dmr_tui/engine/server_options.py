"""The options with which llama-server is started."""

from __future__ import annotations

from pathlib import Path

from dmr_tui.engine.context import DEFAULT_CONTEXT, choose_context_size
from dmr_tui.engine.files import ModelFiles
from dmr_tui.engine.protocol import Load

PREFIX = "/engines"
"""Below which the server puts its routes: where a runner's are."""

_ALL_LAYERS = 999
_SLOTS = 4
"""Requests at a time; as llama-server chooses by itself."""

_CONNECTIONS = 32
"""Threads for HTTP. Each request keeps one until its end, also while it stands in line: by itself
llama-server has few more than slots, and then nobody answers when its health is asked for."""


def shifts(files: ModelFiles, load: Load) -> bool:
    """Whether a context that is full is shifted; one that may have images in it cannot be."""
    return load.context_shift and files.mmproj is None


def options(files: ModelFiles, load: Load, socket: Path) -> list[str]:
    """What stands behind the program's name.

    Args:
        files: the model.
        load: how to load it.
        socket: where it is to listen.
    """
    tokens = choose_context_size(
        profile=load.profile_context,
        package=load.package_context,
        settings=load.settings_context,
        trained=load.most_context or DEFAULT_CONTEXT,
    )
    if load.most_context is not None:
        tokens = min(tokens, load.most_context)
    layers = _ALL_LAYERS if load.gpu_layers < 0 else load.gpu_layers
    options = [
        *("--model", load.gguf, "--host", str(socket), "--api-prefix", PREFIX),
        *("--ctx-size", str(tokens), "--threads", str(load.threads)),
        *("--n-gpu-layers", str(layers), "--jinja", "--no-webui"),
        *("--parallel", str(_SLOTS), "--kv-unified", "--threads-http", str(_CONNECTIONS)),
        "--context-shift" if shifts(files, load) else "--no-context-shift",
    ]
    if load.mode != "completion":
        options.append("--reranking" if load.mode == "reranking" else "--embeddings")
        # A text must be computed in one piece: each token may look at all others.
        options += ["--batch-size", str(tokens), "--ubatch-size", str(tokens)]
    if files.mmproj is not None:
        options += ["--mmproj", str(files.mmproj)]
    for adapter in load.adapters:
        options += ["--lora", adapter]
    if load.chat_template is not None:
        options += ["--chat-template-file", load.chat_template]
    return options
