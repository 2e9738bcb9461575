"""A stand-in for llama-server: the same options, routes and streams, over a real socket.

It has its habits, too: 503 while it loads, a connection that it closes after each stream without a
word about it, and not a byte while it reads a long prompt. `write` makes an executable of it.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import socketserver
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

CONTEXT_SIZE = 4242
LOOKS = 3
"""How often its health is asked for while it reads the prompt "long"."""
FROZEN = "frozen"
"""A model of this name stops it in the middle of the load."""


def write(folder: Path) -> Path:
    """Put an executable `llama-server` into a folder."""
    program = folder / "llama-server"
    program.write_text(
        f"#!{sys.executable}\nimport sys\nsys.path.insert(0, {str(Path(__file__).parents[2])!r})\n"
        "from tests.support.llama_server import main\nmain()\n"
    )
    program.chmod(0o755)
    return program


class Handler(BaseHTTPRequestHandler):
    """One request each."""

    protocol_version = "HTTP/1.1"
    server: Server

    def address_string(self) -> str:
        return "socket"

    def do_GET(self) -> None:
        if self.path == "/engines/health":
            self.server.looks.release()
            self._json(200, {"status": "ok"})
        elif FROZEN in self.server.model:
            os.kill(os.getpid(), signal.SIGSTOP)
        elif self.server.loading > 0:
            self.server.loading -= 1
            self._json(503, {"error": {"code": 503, "message": "Loading model"}})
        elif self.path.startswith("/engines/props"):
            settings = {"n_ctx": CONTEXT_SIZE}
            self._json(200, {"default_generation_settings": settings, "total_slots": 4})
        else:
            self._json(404, {"error": {"code": 404, "message": "File Not Found"}})

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        if self.path != "/engines/v1/chat/completions":
            self._json(404, {"error": {"code": 404, "message": "File Not Found"}})
            return
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.end_headers()
        asked = body["messages"][-1]["content"]
        if asked == "die":
            os.abort()
        if asked == "long":
            for _ in range(LOOKS):
                self.server.looks.acquire()
        words = ["endless "] * 10**6 if asked == "endless" else ["You ", "said: ", asked]
        try:
            for word in words:
                self._event({"choices": [{"index": 0, "delta": {"content": word}}]})
            self._event({"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]})
            usage = {"prompt_tokens": 7, "completion_tokens": len(words), "total_tokens": 10}
            self._event({"choices": [], "usage": usage})
            self.wfile.write(b"data: [DONE]\n\n")
        except ConnectionError:  # broken pipe or reset: it depends on who was quicker
            print("the client left", file=sys.stderr, flush=True)
        self.close_connection = True

    def _event(self, chunk: dict[str, Any]) -> None:
        self.wfile.write(b"data: " + json.dumps(chunk).encode() + b"\n\n")

    def _json(self, status: int, body: dict[str, Any]) -> None:
        data = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)


class Server(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
    """Loads for as long as a few requests take."""

    daemon_threads = True
    loading = 3
    model = ""

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self.looks = threading.Semaphore(0)


def main() -> None:
    """Serve until somebody ends it."""
    parser = argparse.ArgumentParser()
    for name in ("--model", "--host", "--api-prefix", "--ctx-size", "--threads", "--n-gpu-layers"):
        parser.add_argument(name, required=True)
    for name in ("--parallel", "--threads-http"):
        parser.add_argument(name, required=True)
    for name in ("--jinja", "--no-webui", "--kv-unified"):
        parser.add_argument(name, action="store_true", required=True)
    parser.add_argument("--context-shift", action=argparse.BooleanOptionalAction, required=True)
    for name in ("--mmproj", "--chat-template-file", "--lora"):
        parser.add_argument(name)
    asked = parser.parse_args()
    print("I options", " ".join(sys.argv[1:]), file=sys.stderr, flush=True)
    if Path(asked.model).read_bytes()[:4] != b"GGUF":
        print("E invalid magic characters", file=sys.stderr, flush=True)
        sys.exit(1)
    time.sleep(0.05)
    with Server(asked.host, Handler) as server:
        server.model = Path(asked.model).name
        server.serve_forever()


if __name__ == "__main__":
    main()
