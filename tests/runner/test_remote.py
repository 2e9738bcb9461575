"""`RemoteRunner` and `dmr serve`'s endpoint: every method there and back, over a real socket."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import TypeVar

import pytest
import pytest_asyncio

from dmr_tui.engine.profile import Profile
from dmr_tui.engine.request import (
    ChatRequest,
    CompletionRequest,
    Delta,
    Event,
    Finished,
    Function,
    GrammarAnswer,
    ImagePart,
    ImageURL,
    JSONAnswer,
    Limits,
    Message,
    NamedTool,
    Reasoning,
    ReasoningDelta,
    Sampling,
    Started,
    TextPart,
    Tool,
    ToolCallDelta,
    Usage,
)
from dmr_tui.errors import (
    ConflictError,
    ContextLengthError,
    DmrError,
    EngineError,
    InvalidRequestError,
    ModelNotFoundError,
    RegistryError,
    UnauthorizedError,
    UnavailableError,
    UnsupportedModelError,
)
from dmr_tui.paths import Paths
from dmr_tui.runner.base import Runner
from dmr_tui.runner.remote import RemoteRunner
from dmr_tui.server.endpoint import Endpoint
from dmr_tui.settings import Settings
from dmr_tui.store.transfer.progress import TransferProgress
from tests.support.fake_runner import ARCHIVE, FIT, MANIFEST, MODEL, FakeRunner

pytestmark = pytest.mark.asyncio(loop_scope="module")

PATIENCE = 20.0
NAME = "ai/llama3.2:1B-Q8_0"
ASK = ChatRequest([Message("user", "hi")])
T = TypeVar("T")
USAGE = Usage(11, 3, 4, 0.5, 2.0)


async def drain(items: AsyncIterator[T], into: list[T]) -> None:
    async for item in items:
        into.append(item)


@pytest.fixture(scope="module")
def served() -> FakeRunner:
    return FakeRunner()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def endpoint(
    served: FakeRunner, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Endpoint]:
    home = tmp_path_factory.mktemp("home")
    started = Endpoint(served, Settings(), port=0, paths=Paths(home, home, home))
    await started.start()
    yield started
    await started.stop(grace=0)


@pytest.fixture
def runner(served: FakeRunner) -> FakeRunner:
    vars(served).update(vars(FakeRunner()))
    return served


@pytest_asyncio.fixture(loop_scope="module")
async def remote(endpoint: Endpoint, runner: FakeRunner) -> AsyncIterator[RemoteRunner]:
    opened = RemoteRunner(endpoint.url)
    yield opened
    await opened.close()


async def test_it_is_a_runner(remote: RemoteRunner) -> None:
    runner: Runner = remote
    assert await runner.models() == [MODEL]
    assert await runner.model(NAME) == MODEL
    assert await runner.model(MODEL.id) == MODEL
    assert await runner.manifest(NAME) == MANIFEST


async def test_tagging_and_removal(remote: RemoteRunner, runner: FakeRunner) -> None:
    assert await remote.tag(NAME, "mine:v2") == "docker.io/ai/mine:v2"
    assert await remote.tag(NAME, "localhost:5000/a/b") == "localhost:5000/a/b:latest"
    removed = await remote.remove(NAME, force=True)
    assert [(each.untagged, each.deleted) for each in removed] == [
        (MODEL.tags[0], ""),
        ("", MODEL.id),
    ]
    assert runner.calls == [
        ("tag", NAME, "docker.io/ai/mine:v2"),
        ("tag", NAME, "localhost:5000/a/b:latest"),
        ("remove", NAME, True),
    ]
    assert await remote.repackage(NAME, "mine:small", context_size=64) == "docker.io/mine:small"
    assert runner.calls[-1] == ("repackage", NAME, "mine:small", 64)
    await remote.purge(force=True)
    assert ("purge", True) in runner.calls
    with pytest.raises(ConflictError, match="process 77"):
        await remote.purge()
    with pytest.raises(ConflictError) as raised:
        await remote.remove(MODEL.id)
    assert raised.value.message == "the model has several tags"
    assert raised.value.hint == "remove it with --force"


async def test_running_models_and_the_rest(remote: RemoteRunner, runner: FakeRunner) -> None:
    assert await remote.running() == await runner.running()
    assert await remote.disk_usage() == await runner.disk_usage()
    status = await remote.status()
    assert (status.kind, status.endpoint) == ("remote", remote.url)
    assert status.backends == (await runner.status()).backends
    assert status.version
    assert await remote.unload() == 2
    assert await remote.unload([NAME]) == 1
    assert await remote.unload([]) == 0
    assert runner.calls == [("unload", None), ("unload", [NAME]), ("unload", [])]


async def test_what_fits_and_what_was_measured(remote: RemoteRunner, runner: FakeRunner) -> None:
    assert await remote.fits([MODEL.id, "sha256:no"], context=4096) == [FIT, None]
    assert await remote.fits([MODEL.id]) == [FIT]
    assert runner.calls == [
        ("fits", [MODEL.id, "sha256:no"], 4096),
        ("fits", [MODEL.id], None),
    ]
    assert await remote.measured() == await runner.measured()


async def test_settings_can_be_replaced(remote: RemoteRunner, runner: FakeRunner) -> None:
    await remote.configure(NAME, Profile(context_size=99), replace=True)
    assert runner.calls == [("configure", NAME, Profile(context_size=99), "replace")]


PROFILE = Profile(
    context_size=-1, keep_alive=-1.0, threads=3, gpu_layers=0, sampling=Sampling(top_k=5, seed=1)
)


@pytest.mark.parametrize("profile", [Profile(), PROFILE, Profile(keep_alive=5400.5)])
async def test_profiles_arrive(remote: RemoteRunner, runner: FakeRunner, profile: Profile) -> None:
    await remote.configure(NAME, profile)
    await remote.load(NAME, profile=profile)
    await remote.load(NAME)
    assert runner.calls == [
        ("configure", NAME, profile),
        ("load", NAME, profile),
        ("load", NAME, None),
    ]
    assert [event async for event in remote.generate(NAME, ASK, profile=profile)]
    assert runner.asked == [(NAME, ASK, profile)]


@pytest.mark.parametrize(
    "request_",
    [
        ASK,
        ChatRequest(
            [
                Message("system", "be brief"),
                Message("user", [TextPart("look"), ImagePart(ImageURL("data:,x"))]),
                Message("assistant", "yes", reasoning_content="hm"),
            ],
            Sampling(temperature=0.0, top_p=0.5, min_p=0.1, typical_p=0.2, repeat_last_n=9, seed=3),
            Limits(max_tokens=7, stop=["\u2028", "END"]),
            {"enable_thinking": False},
        ),
        CompletionRequest("once", Sampling(presence_penalty=-1.5, frequency_penalty=0.5)),
        CompletionRequest([1, 2, 3], Sampling(repeat_penalty=1.1), Limits(max_tokens=1)),
        ChatRequest(
            [Message("user", "go")],
            tools=[Tool(Function("look", "Looks.", {"type": "object"})), Tool(Function("wait"))],
            tool_choice=NamedTool("wait"),
            parallel_tool_calls=False,
            reasoning=Reasoning(effort="low", budget=9),
        ),
        ChatRequest([Message("user", "go"), Message("assistant", "Go")]),
        ChatRequest(
            [Message("user", "go"), Message("assistant", "Go")],
            template_options={"enable_thinking": False, "thinking": False},
            continues=True,
        ),
        ChatRequest([Message("user", "go")], format=JSONAnswer()),
        ChatRequest([Message("user", "go")], format=JSONAnswer({"type": "null"})),
        CompletionRequest("once", format=GrammarAnswer('root ::= "x"')),
        CompletionRequest("once", format=JSONAnswer({"type": "object"})),
    ],
)
async def test_requests_arrive_as_they_were(
    remote: RemoteRunner, runner: FakeRunner, request_: ChatRequest | CompletionRequest
) -> None:
    events = [event async for event in remote.generate(NAME, request_)]
    assert runner.asked == [(NAME, request_, None)]
    assert events == [
        Started(prompt_tokens=0),
        *(Delta(text) for text in runner.words),
        Finished("stop", USAGE),
    ]


async def test_thoughts_and_reasons_come_back(remote: RemoteRunner, runner: FakeRunner) -> None:
    runner.thoughts, runner.words, runner.reason = ["hm\u2029", "."], ["ok"], "length"
    _, *events = [event async for event in remote.generate(NAME, ASK)]
    assert events[:3] == [ReasoningDelta("hm\u2029"), ReasoningDelta("."), Delta("ok")]
    assert events[3] == Finished("length", USAGE)


async def test_tool_calls_come_back(remote: RemoteRunner, runner: FakeRunner) -> None:
    runner.words, runner.reason = [], "tool_calls"
    runner.tool_calls = [
        ToolCallDelta(0, "call00001", "look"),
        ToolCallDelta(0, arguments='{"at": 1}'),
        ToolCallDelta(1, "call00002", "wait", "{}"),
    ]
    _, *events = [event async for event in remote.generate(NAME, ASK)]
    assert events == [*runner.tool_calls, Finished("tool_calls", USAGE)]


async def test_the_wish_to_think_reaches_the_template(
    remote: RemoteRunner, runner: FakeRunner
) -> None:
    asked = ChatRequest([Message("user", "go")], reasoning=Reasoning(enabled=False))
    assert [event async for event in remote.generate(NAME, asked)]
    assert runner.chat.template_options == {"enable_thinking": False, "thinking": False}


FAILURES = [
    InvalidRequestError("bad", "mend it", param="messages"),
    ContextLengthError("too long"),
    ModelNotFoundError("gone", "pull it"),
    ConflictError("busy"),
    EngineError("the worker died: (boom)", "see (the) log"),
    UnavailableError("full"),
    DmrError("what"),
]


@pytest.mark.parametrize("at", [0, 2])
@pytest.mark.parametrize("failure", FAILURES, ids=lambda failure: type(failure).__name__)
async def test_failures_come_back_as_they_were(
    remote: RemoteRunner, runner: FakeRunner, failure: DmrError, at: int
) -> None:
    runner.failure, runner.fails_at = failure, at
    seen: list[Event] = []
    with pytest.raises(DmrError) as raised:
        await drain(remote.generate(NAME, ASK), seen)
    assert seen == ([] if at == 0 else [Started(prompt_tokens=0), Delta(runner.words[0])])
    # A defect with no kind of its own is an engine's failure to whoever is far away.
    assert type(raised.value) is (EngineError if type(failure) is DmrError else type(failure))
    got = (raised.value.message, raised.value.hint, raised.value.param)
    assert got == (failure.message, failure.hint, failure.param)


async def test_an_unknown_model_has_a_hint(remote: RemoteRunner) -> None:
    with pytest.raises(ModelNotFoundError) as raised:
        await remote.model("nope")
    assert raised.value.hint == "did you mean llama3.2?"
    with pytest.raises(ModelNotFoundError):
        await remote.manifest("nope")
    with pytest.raises(ModelNotFoundError):
        await remote.load("nope")
    with pytest.raises(ModelNotFoundError):
        _ = [event async for event in remote.generate("nope", ASK)]


async def test_transfers(remote: RemoteRunner, runner: FakeRunner) -> None:
    assert [line async for line in remote.pull("hf.co/A/B:Q4")] == [
        line async for line in runner._transfer("pull")
    ]
    assert [line async for line in remote.push(NAME)] == [
        line async for line in runner._transfer("push")
    ]
    assert runner.calls == [("pull", "hf.co/A/B:Q4"), ("push", NAME)]


async def test_the_persons_token_goes_along_for_the_hub_only(
    remote: RemoteRunner, runner: FakeRunner, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_TOKEN", " hf_mine ")
    for name in ("HF.co/A/B", "huggingface.co/A/B", "ai/hf.co"):
        await drain(remote.pull(name), [])
    await drain(remote.push(NAME), [])
    assert runner.calls == [
        ("pull", "HF.co/A/B", "hf_mine"),
        ("pull", "huggingface.co/A/B", "hf_mine"),
        ("pull", "ai/hf.co"),
        ("push", NAME),
    ]


@pytest.mark.parametrize("at", [0, 1])
@pytest.mark.parametrize(
    "failure",
    [
        UnauthorizedError("Unauthorized", "dmr login"),
        ModelNotFoundError("Model not found"),
        UnsupportedModelError("config type x", "upgrade"),
        RegistryError("<digest> \"mismatch\" & 'more'"),
    ],
    ids=lambda failure: type(failure).__name__,
)
async def test_failed_transfers(
    remote: RemoteRunner, runner: FakeRunner, failure: DmrError, at: int
) -> None:
    runner.failure, runner.fails_at = failure, at
    lines: list[TransferProgress] = []
    with pytest.raises(type(failure)) as raised:
        await drain(remote.pull("x"), lines)
    assert len(lines) == at
    assert (raised.value.message, raised.value.hint) == (failure.message, failure.hint)


@pytest.mark.parametrize("what", ["generate", "pull"])
async def test_closing_the_iterator_ends_the_work_at_the_other_end(
    remote: RemoteRunner, runner: FakeRunner, what: str
) -> None:
    runner.endless = True
    work = remote.generate(NAME, ASK) if what == "generate" else remote.pull("x")
    await anext(work)
    await asyncio.wait_for(runner.waiting.wait(), PATIENCE)
    await work.aclose()
    await asyncio.wait_for(runner.freed.wait(), PATIENCE)
    assert runner.open_streams == 0


async def test_cancelling_the_consumer_ends_the_work_at_the_other_end(
    remote: RemoteRunner, runner: FakeRunner
) -> None:
    runner.endless = True

    async def consume() -> None:
        async for _ in remote.generate(NAME, ASK):
            pass

    consuming = asyncio.create_task(consume())
    await asyncio.wait_for(runner.waiting.wait(), PATIENCE)
    consuming.cancel()
    await asyncio.wait({consuming})
    assert consuming.cancelled()
    await asyncio.wait_for(runner.freed.wait(), PATIENCE)


async def test_nobody_there(
    unused_tcp_port: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("MODEL_RUNNER_HOST", raising=False)
    for url in (f"http://127.0.0.1:{unused_tcp_port}", f"unix://{tmp_path}/none.sock"):
        remote = RemoteRunner(url)
        with pytest.raises(UnavailableError, match="no runner answers") as raised:
            await remote.models()
        assert url in raised.value.message
        assert raised.value.hint is not None
        assert "dmr serve" in raised.value.hint
        await remote.close()


async def test_nobody_where_the_environment_says(
    unused_tcp_port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = f"http://127.0.0.1:{unused_tcp_port}"
    monkeypatch.setenv("MODEL_RUNNER_HOST", url)
    remote = RemoteRunner(url)
    with pytest.raises(UnavailableError) as raised:
        await remote.models()
    assert "MODEL_RUNNER_HOST names it" in (raised.value.hint or "")
    await remote.close()


async def test_over_a_unix_socket(runner: FakeRunner, tmp_path: Path) -> None:
    endpoint = Endpoint(runner, Settings(), socket=tmp_path / "s.sock", paths=Paths.default())
    await endpoint.start()
    try:
        remote = RemoteRunner(endpoint.url)
        assert await remote.models() == [MODEL]
        assert len([event async for event in remote.generate(NAME, ASK)]) == 5
        await remote.close()
    finally:
        await endpoint.stop(grace=0)


async def test_no_proxy_stands_before_this_machine(
    endpoint: Endpoint, runner: FakeRunner, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    remote = RemoteRunner(endpoint.url)
    assert await remote.models() == [MODEL]
    await remote.close()


async def test_an_endpoint_that_stops_in_the_middle(paths_of_its_own: Paths) -> None:
    runner = FakeRunner(endless=True)
    endpoint = Endpoint(runner, Settings(), port=0, paths=paths_of_its_own)
    await endpoint.start()
    remote = RemoteRunner(endpoint.url)
    work = remote.generate(NAME, ASK)
    await anext(work)
    await asyncio.wait_for(runner.waiting.wait(), PATIENCE)
    stopping = asyncio.create_task(endpoint.stop(grace=0))
    with pytest.raises(UnavailableError, match="shutting down"):
        _ = [event async for event in work]
    await stopping
    with pytest.raises(UnavailableError):
        await remote.models()
    await remote.close()


@pytest.fixture
def paths_of_its_own(tmp_path: Path) -> Paths:
    return Paths(tmp_path, tmp_path, tmp_path)


async def test_archives_go_both_ways(remote: RemoteRunner, runner: FakeRunner) -> None:
    archive = b"".join([chunk async for chunk in remote.export(NAME)])
    assert archive == b"".join(ARCHIVE)

    async def chunks(data: bytes) -> AsyncIterator[bytes]:
        for at in range(0, len(data), 1000):
            yield data[at : at + 1000]

    assert await remote.load_archive(chunks(archive)) == MODEL.id
    with pytest.raises(InvalidRequestError, match="no model's archive"):
        await remote.load_archive(chunks(b"x"))
    with pytest.raises(ModelNotFoundError):
        await anext(remote.export("nope"))
