"""Getting models on the full screen: the real program in a real terminal, hubs on loopback."""

from __future__ import annotations

import json
import os
import re
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from threading import Event

import pytest

from tests.e2e.conftest import Program
from tests.support.hub import HubStandIn, hub_stand_in
from tests.support.registry import LiveRegistry
from tests.support.stand_in import Request, StandIn, serving
from tests.support.terminal import Terminal

PROGRAM = [sys.executable, "-m", "dmr_tui"]
ALT_2 = "\x1b2"
FACE = "hf.co/Org/Tiny-8M-GGUF"


class DockerHub(StandIn):
    """One model with one tag, as the API of Docker Hub tells of it."""

    size = 0

    def obey(self, request: Request) -> None:
        if "/tags" in request.path:
            rows = [{"name": "latest", "full_size": self.size, "digest": "sha256:1"}]
        else:
            rows = [{"name": "smollm2", "description": "small", "pull_count": 5}]
        request.answer(200, json.dumps({"results": rows, "next": None}).encode())


@pytest.fixture
def docker_hub(tiny_gguf: Path) -> Iterator[DockerHub]:
    with serving(DockerHub()) as running:
        running.size = tiny_gguf.stat().st_size
        yield running


@pytest.fixture
def hugging_face(tiny_gguf: Path) -> Iterator[HubStandIn]:
    with hub_stand_in() as running:
        running.found = [{"id": "Org/Tiny-8M-GGUF", "downloads": 9, "tags": ["gguf"]}]
        running.repository("Org/Tiny-8M-GGUF", {"Tiny-8M-Q8_0.gguf": tiny_gguf.read_bytes()})
        yield running


@pytest.fixture
def environment(
    hub: Program, registry: LiveRegistry, docker_hub: DockerHub, hugging_face: HubStandIn
) -> dict[str, str]:
    """A home whose hubs are the stand-ins, and whose Docker Hub is mirrored by a real registry."""
    del hub.environment["DEFAULT_REGISTRY"]
    return {
        **hub.environ,
        "MODEL_RUNNER_REGISTRY_MIRRORS": f"http://{registry.address}",
        "DMR_HUB_URL": f"http://{docker_hub.host}",
        "HF_ENDPOINT": f"http://{hugging_face.host}",
    }


def hold(hub: HubStandIn, after: int, go_on: Event) -> None:
    """Let the next download stop after so many bytes, until it is told to go on."""

    def fault(request: Request) -> None:
        digest = request.path.rpartition("/")[2].partition("?")[0]
        part = request.begin(hub.content.blobs[digest])
        request.write(part[:after])
        go_on.wait(60)
        request.write(part[after:])

    hub.content.fault("GET /repos/", fault)


@pytest.mark.parametrize(("rows", "columns"), [(36, 120), (24, 80)])
def test_search_get_and_chat(environment: dict[str, str], rows: int, columns: int) -> None:
    with Terminal(PROGRAM, rows=rows, columns=columns, environment=environment) as terminal:
        terminal.wait_for("free on disk")
        terminal.type(ALT_2)
        terminal.wait_for(r"smollm2 .*CPU")
        terminal.type("small")
        terminal.wait_for(r"Nothing|smollm2")
        terminal.keys("Enter")
        terminal.wait_for("esc Back")
        terminal.keys("Enter")
        terminal.wait_for(r"\[3 Chat\]")
        terminal.type("/set parameter num_predict 8")
        terminal.keys("Enter")
        terminal.wait_for("Set parameter")
        terminal.type("hello")
        terminal.keys("Enter")
        terminal.wait_for(r"tok/s · .* to first", 30)
        terminal.type(ALT_2)
        terminal.wait_for(r"✓ smollm2 +here")
        terminal.keys("C-q")
        assert terminal.wait_exit() == 0


def test_a_pull_survives_a_kill(
    environment: dict[str, str], hugging_face: HubStandIn, tiny_gguf: Path
) -> None:
    go_on, size = Event(), tiny_gguf.stat().st_size
    with Terminal(PROGRAM, environment=environment) as terminal:
        terminal.wait_for("free on disk")
        terminal.type(ALT_2)
        terminal.wait_for(r"Tiny-8M-GGUF .*Q8_0")
        hold(hugging_face, size // 2, go_on)
        terminal.type(f"{FACE}:Q8_0")
        terminal.wait_for(r"▸ +★? *Q8_0 .*CPU")
        terminal.keys("Tab")
        terminal.type("p")
        terminal.wait_for(r"↓ …/tiny.*\b[1-9]\d?%")
        os.kill(terminal.pid, signal.SIGKILL)
        terminal.wait_exit()
    go_on.set()
    asked = len(hugging_face.content.asked("GET /repos/"))
    with Terminal(PROGRAM, environment=environment) as terminal:
        # It is the screen that was shown last, and the pull goes on by itself.
        terminal.wait_for(r"✓ …/tiny.* here", 30)
        terminal.keys("C-q")
        assert terminal.wait_exit() == 0
    (again,) = hugging_face.content.asked("GET /repos/")[asked:]
    assert again.start > 0
    assert not re.search("not here yet", terminal.everything())


def test_what_is_left_is_said_and_listed(
    environment: dict[str, str], hub: Program, hugging_face: HubStandIn, tiny_gguf: Path
) -> None:
    go_on = Event()
    with Terminal(PROGRAM, environment=environment) as terminal:
        terminal.wait_for("free on disk")
        terminal.type(ALT_2)
        terminal.wait_for(r"Tiny-8M-GGUF .*Q8_0")
        hold(hugging_face, tiny_gguf.stat().st_size // 2, go_on)
        terminal.type(f"{FACE}:Q8_0")
        terminal.wait_for(r"▸ +★? *Q8_0 .*CPU")
        terminal.keys("Tab")
        terminal.type("p")
        terminal.wait_for(r"↓ …/tiny.*\b[1-9]\d?%")
        terminal.type(" ")
        terminal.wait_for(r"‖ …/tiny.*paused")
        terminal.keys("C-q")
        assert terminal.wait_exit() == 0
        terminal.wait_for("not here yet")
        said = "".join(terminal.raw.decode("utf-8", "replace").split())
    go_on.set()
    name = "huggingface.co/org/tiny-8m-gguf"
    assert "kept)isnothereyet:`dmr`goeson" in said
    assert re.search(rf"{name}:Q8_0 +paused +\S+kB", hub.run("pulls").stdout)
