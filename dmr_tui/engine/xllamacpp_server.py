"""llama.cpp's server from the xllamacpp wheel, started as the program `llama-server` would be.

    python -m dmr_tui.engine.xllamacpp_server --model FILE --host SOCKET …

It knows the options that `LlamaServer` gives, and no others. xllamacpp needs no compiler; its wheel
is built for any processor with AVX2, so it computes slower than what is built for this one.
"""

from __future__ import annotations

import argparse
import importlib
import signal
import sys
from pathlib import Path
from typing import Any

MODULE = "dmr_tui.engine.xllamacpp_server"
PACKAGE = "xllamacpp"


def main() -> None:
    """Serve until a signal ends it."""
    asked = _options(sys.argv[1:])
    xllamacpp: Any = importlib.import_module(PACKAGE)
    try:
        server = xllamacpp.Server(_parameters(xllamacpp, asked))
    except RuntimeError as error:
        # What llama.cpp has to say about it is in the log already.
        raise SystemExit(f"{PACKAGE}: {error}") from None
    print(f"listening on {server.listening_address}", file=sys.stderr, flush=True)
    signal.pause()


def _options(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    for name in ("--model", "--host", "--api-prefix"):
        parser.add_argument(name, required=True)
    for name in ("--ctx-size", "--threads", "--threads-http", "--n-gpu-layers", "--parallel"):
        parser.add_argument(name, type=int, required=True)
    for name in ("--batch-size", "--ubatch-size"):
        parser.add_argument(name, type=int)
    for name in ("--jinja", "--no-webui", "--kv-unified", "--embeddings", "--reranking"):
        parser.add_argument(name, action="store_true")
    parser.add_argument("--context-shift", action=argparse.BooleanOptionalAction, default=False)
    for name in ("--mmproj", "--chat-template-file"):
        parser.add_argument(name)
    parser.add_argument("--lora", action="append", default=[])
    return parser.parse_args(arguments)


def _parameters(xllamacpp: Any, asked: argparse.Namespace) -> Any:
    parameters = xllamacpp.CommonParams()
    parameters.model.path = asked.model
    parameters.hostnames = [asked.host]
    parameters.api_prefix = asked.api_prefix
    parameters.n_ctx = asked.ctx_size
    parameters.n_batch = asked.batch_size or parameters.n_batch
    parameters.n_ubatch = asked.ubatch_size or parameters.n_ubatch
    parameters.n_parallel = asked.parallel
    parameters.n_threads_http = asked.threads_http
    parameters.n_gpu_layers = asked.n_gpu_layers
    parameters.kv_unified = asked.kv_unified
    parameters.ctx_shift = asked.context_shift
    parameters.use_jinja = asked.jinja
    parameters.ui = not asked.no_webui
    parameters.embedding = asked.embeddings or asked.reranking
    if asked.reranking:
        parameters.pooling_type = xllamacpp.llama_pooling_type.LLAMA_POOLING_TYPE_RANK
    for threads in (parameters.cpuparams, parameters.cpuparams_batch):
        threads.n_threads = asked.threads
    if asked.mmproj is not None:
        parameters.mmproj.path = asked.mmproj
    if asked.chat_template_file is not None:
        parameters.chat_template = Path(asked.chat_template_file).read_text("utf-8")
    adapters = []
    for file in asked.lora:
        adapter = xllamacpp.CommonAdapterLoraInfo()
        adapter.path, adapter.scale = file, 1.0
        adapters.append(adapter)
    if adapters:
        parameters.lora_adapters = adapters
    return parameters


if __name__ == "__main__":
    main()
