from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import AsyncGenerator, Callable
from pathlib import Path

import pytest

from dmr_tui.chat.conversation import Conversation
from dmr_tui.chat.sessions import Sessions
from dmr_tui.engine.profile import Profile
from dmr_tui.engine.request import Message, Sampling
from dmr_tui.errors import EngineError, RegistryError
from dmr_tui.paths import Paths
from dmr_tui.runner.base import Model
from dmr_tui.store.transfer.progress import TransferProgress
from tests.cli.conftest import Dmr
from tests.support.fake_runner import MODEL, NAMES, FakeRunner
from tests.support.terminal import Terminal

Use = Callable[[FakeRunner], None]
NAME = NAMES[0]


def test_the_answer_and_nothing_else_is_on_stdout(dmr: Dmr, use_runner: Use) -> None:
    runner = FakeRunner(words=("Hel", "lo"), thoughts=("hm",))
    use_runner(runner)
    result = dmr("run", NAME, "say", "hello")
    assert (result.code, result.out, result.err) == (0, "Hello\n", "")
    assert runner.chat.messages == [Message("user", "say hello")]
    assert runner.calls[-1] == ("close",)


def test_an_answer_that_ends_its_line_gets_no_second_one(dmr: Dmr, use_runner: Use) -> None:
    use_runner(FakeRunner(words=("Hello\n",)))
    assert dmr("run", NAME, "hi").out == "Hello\n"


@pytest.mark.parametrize(
    ("words", "stdin", "prompt"),
    [
        (("explain",), "some text", "explain\n\nsome text"),
        ((), "some text\n", "some text\n"),
        (("explain", "it"), "", "explain it"),
    ],
)
def test_prompt_and_stdin(
    dmr: Dmr, use_runner: Use, words: tuple[str, ...], stdin: str, prompt: str
) -> None:
    runner = FakeRunner()
    use_runner(runner)
    assert dmr("run", NAME, *words, stdin=stdin).code == 0
    assert runner.chat.messages[-1].content == prompt


def test_what_is_no_text_is_taken_as_well_as_it_can_be(
    dmr: Dmr, use_runner: Use, tmp_path: Path
) -> None:
    runner = FakeRunner()
    use_runner(runner)
    assert dmr("run", NAME, "--system", "s\udcff", "a\udcff b").code == 0
    assert [message.content for message in runner.chat.messages] == ["s\ufffd", "a\ufffd b"]
    code = "import sys; from dmr_tui.cli.run import _read_stdin; print(ascii(_read_stdin()))"
    for locale in ("C", "C.UTF-8"):
        strict = {**os.environ, "LC_ALL": locale, "PYTHONIOENCODING": "utf-8:strict"}
        piped = subprocess.run(
            [sys.executable, "-c", code], input=b"caf\xe9", env=strict, capture_output=True
        )
        assert piped.stdout == b"'caf\\ufffd'\n"


def test_a_prompt_taken_for_a_model_is_explained(dmr: Dmr, use_runner: Use) -> None:
    use_runner(FakeRunner())
    hint = dmr("run", "-c", "And then?").err
    assert 'say one: dmr run -c And then? "…"' in hint


def test_options_reach_the_model(dmr: Dmr, use_runner: Use) -> None:
    runner = FakeRunner()
    use_runner(runner)
    result = dmr(
        "run", NAME, "--system", "be brief", "--temperature", "0", "--seed", "7",
        "--max-tokens", "5", "--num-ctx", "512", "--keep-alive", "10m", "hi",
    )  # fmt: skip
    assert result.code == 0
    ((_, _, profile),) = runner.asked
    assert profile == Profile(context_size=512, keep_alive=600.0)
    request = runner.chat
    assert request.messages[0] == Message("system", "be brief")
    assert (request.sampling.temperature, request.sampling.seed) == (0.0, 7)
    assert request.limits.max_tokens == 5


def test_force_reaches_the_load(dmr: Dmr, use_runner: Use) -> None:
    runner = FakeRunner()
    use_runner(runner)
    assert dmr("run", "--force", NAME, "hi").code == 0
    ((_, _, profile),) = runner.asked
    assert profile == Profile(force=True)


def test_verbose_talks_on_stderr(dmr: Dmr, use_runner: Use) -> None:
    use_runner(FakeRunner(words=("a", "b", "c")))
    result = dmr("run", "--verbose", NAME, "hi")
    assert result.out == "abc\n"
    assert "prompt:      11 tokens, 14.00 tokens/s" in result.err
    assert "generation:  3 tokens, 1.00 tokens/s" in result.err


def test_color_yes_renders_into_a_pipe_too(dmr: Dmr, use_runner: Use) -> None:
    use_runner(FakeRunner(words=("some **bold**",)))
    assert dmr("run", NAME, "hi").out == "some **bold**\n"
    assert "**" not in dmr("run", "--color", "yes", NAME, "hi").out


def test_a_failure_ends_the_line_and_is_said_once(dmr: Dmr, use_runner: Use) -> None:
    use_runner(FakeRunner(words=("Hel", "lo"), failure=EngineError("worker died"), fails_at=2))
    result = dmr("run", NAME, "hi")
    assert (result.code, result.out) == (1, "Hel\n")
    assert result.err == "Error: worker died\n"


def test_ctrl_c_leaves_with_130_and_closes_the_runner(dmr: Dmr, use_runner: Use) -> None:
    class Interrupting(FakeRunner):
        async def _hold(self) -> None:
            os.kill(os.getpid(), signal.SIGINT)
            await super()._hold()

    runner = Interrupting(words=("Hel",), endless=True)
    use_runner(runner)
    result = dmr("run", NAME, "hi")
    assert (result.code, result.out) == (130, "Hel\n")
    assert "Traceback" not in result.err
    assert runner.open_streams == 0
    assert runner.calls[-1] == ("close",)


class Missing(FakeRunner):
    """Has the model only after a pull."""

    pulled = False

    async def model(self, name: str) -> Model:
        return await super().model(name if self.pulled else "nobody")

    async def pull(self, name: str, *, token: str = "") -> AsyncGenerator[TransferProgress, None]:
        async for line in super().pull(name, token=token):
            yield line
        self.pulled = True


def test_a_missing_model_is_pulled_first(dmr: Dmr, use_runner: Use) -> None:
    runner = Missing(words=("Hello",))
    use_runner(runner)
    result = dmr("run", NAME, "hi")
    assert (result.code, result.out) == (0, "Hello\n")
    assert result.err.splitlines() == [
        f"Unable to find model '{NAME}' locally. Pulling from the server.",
        "Downloaded 3.00B of 7.00B",
        "Model pulled successfully",
    ]


def test_without_a_network_it_says_what_to_do_next(dmr: Dmr, use_runner: Use) -> None:
    use_runner(Missing(failure=RegistryError("cannot reach registry-1.docker.io", "check it")))
    result = dmr("run", NAME, "hi")
    assert (result.code, result.out) == (1, "")
    assert "Error: cannot reach registry-1.docker.io\n  check it\n" in result.err
    for way in (
        "did you mean llama3.2?",
        "dmr run dmr/guide",
        "dmr run ./file.gguf",
        "dmr package",
        "HTTPS_PROXY",
    ):
        assert way in result.err


def test_preload_only_loads(dmr: Dmr, use_runner: Use) -> None:
    runner = FakeRunner()
    use_runner(runner)
    result = dmr("run", "-d", "--num-ctx", "64", NAME)
    assert (result.code, result.out) == (0, "")
    assert ("load", NAME, Profile(context_size=64)) in runner.calls
    assert runner.asked == []


def test_a_file_runs_without_a_store_or_a_server(
    dmr: Dmr, use_runner: Use, tiny_gguf: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = FakeRunner()
    use_runner(other)
    monkeypatch.chdir(tiny_gguf.parent)
    asked = ("--max-tokens", "4", "--temperature", "0", "hi")
    relative = dmr("run", tiny_gguf.name, *asked)
    assert relative.code == 0, relative.err
    assert relative.out.strip()
    assert dmr("run", str(tiny_gguf), *asked).out == relative.out
    assert other.asked == []


def test_a_file_cannot_be_loaded_ahead(dmr: Dmr, tiny_gguf: Path) -> None:
    result = dmr("run", "-d", str(tiny_gguf))
    assert result.code == 2
    assert "dmr package" in result.err


def test_another_file_is_no_model(dmr: Dmr, tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("hi")
    result = dmr("run", str(tmp_path / "notes.txt"), "hi")
    assert result.code == 2
    assert "notes.txt is no .gguf file" in result.err


def test_debug_says_what_runs(dmr: Dmr, use_runner: Use) -> None:
    use_runner(FakeRunner())
    assert dmr("run", "--debug", NAME, "hi").err == f"Running model {NAME} with prompt hi\n"


def test_a_real_model_chats_in_a_terminal(tiny_gguf: Path) -> None:
    options = ["--max-tokens", "6", "--seed", "7"]  # by chance six tokens may have nothing to show
    command = [sys.executable, "-m", "dmr_tui", "run", *options, str(tiny_gguf)]
    with Terminal(command) as terminal:
        terminal.wait_for(r"> Send a message")
        terminal.type("hello\r")
        terminal.wait_for(r"^> hello\n.*\S.*\n\n> Send")
        terminal.type("/show info\r")
        terminal.wait_for(r"llama")
        terminal.keys("C-d")
        assert terminal.wait_exit() == 0


def test_models_are_listed_by_their_id_too(dmr: Dmr, use_runner: Use) -> None:
    runner = FakeRunner(words=("ok",))
    use_runner(runner)
    assert dmr("run", MODEL.id, "hi").out == "ok\n"


def test_a_file_in_the_prompt_is_sent_and_stdin_is_not_searched(
    dmr: Dmr, use_runner: Use, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "notes.txt").write_text("buy milk")
    monkeypatch.chdir(tmp_path)
    runner = FakeRunner()
    use_runner(runner)
    assert dmr("run", NAME, "sum", "up", "@notes.txt", stdin="see @notes.txt").code == 0
    assert runner.chat.messages[-1].content == "sum up buy milk\n\nsee @notes.txt"


def saved_chats() -> list[list[str]]:
    """The texts of every saved chat, the last used one first."""

    async def read() -> list[list[str]]:
        sessions = Sessions(Paths.default().chats)
        try:
            return [
                [node.text for node in (await sessions.load(chat.id)).path]
                for chat in await sessions.chats()
            ]
        finally:
            await sessions.close()

    return asyncio.run(read())


def save_chat(model: str, question: str) -> None:
    async def write() -> None:
        sessions = Sessions(Paths.default().chats)
        talk = Conversation(model, "be brief", sampling=Sampling(temperature=0.5, seed=1))
        talk.ask(question)
        talk.answer("yes")
        await sessions.save(talk)
        await sessions.close()

    asyncio.run(write())


def test_the_last_chat_goes_on(dmr: Dmr, use_runner: Use) -> None:
    save_chat(NAME, "older")
    save_chat("docker.io/" + NAME, "newer")
    save_chat("another", "newest")
    runner = FakeRunner(words=("ok",))
    use_runner(runner)
    result = dmr("run", "--continue", "--seed", "2", NAME, "and", "now?")
    assert (result.code, result.out) == (0, "ok\n")
    request = runner.chat
    assert [message.content for message in request.messages] == [
        "be brief", "newer", "yes", "and now?",
    ]  # fmt: skip
    assert (request.sampling.temperature, request.sampling.seed) == (0.5, 2)
    assert saved_chats()[0] == ["newer", "yes", "and now?", "ok"]
    assert len(saved_chats()) == 3


def test_one_shots_are_not_saved(dmr: Dmr, use_runner: Use) -> None:
    use_runner(FakeRunner())
    assert dmr("run", NAME, "hi").code == 0
    assert not Paths.default().chats.exists()


@pytest.mark.parametrize("how", ["--no-save", "DMR_SAVE_CHATS"])
def test_a_chat_goes_on_without_being_saved(
    dmr: Dmr, use_runner: Use, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    save_chat(NAME, "older")
    options = [how] if how.startswith("-") else []
    if not options:
        monkeypatch.setenv(how, "0")
    use_runner(FakeRunner())
    assert dmr("run", "-c", *options, NAME, "and now?").code == 0
    assert saved_chats() == [["older", "yes"]]


def test_there_must_be_a_chat_to_go_on_with(dmr: Dmr, use_runner: Use) -> None:
    use_runner(FakeRunner())
    result = dmr("run", "-c", stdin="hi")
    assert (result.code, result.out) == (2, "")
    assert "there is no saved chat\n" in result.err
    assert "there is no saved chat with nobody" in dmr("run", "-c", "nobody", "hi").err
    save_chat(NAME, "older")
    hint = dmr("run", "-c", "nobody", "hi").err
    assert f'the last one is with {NAME}: dmr run -c {NAME} "…"' in hint
    assert dmr("run").code == 2


def test_a_saved_chat_goes_on_in_a_terminal(tiny_gguf: Path, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "dmr_tui", "run", "--max-tokens", "6"]
    with Terminal([*command, str(tiny_gguf)]) as terminal:
        terminal.wait_for(r"> Send a message")
        terminal.type("hello\r")
        terminal.wait_for(r"^> hello\n.*\S.*\n\n> Send")
        os.kill(terminal.pid, signal.SIGKILL)
    with Terminal([*command, "-c"], cwd=tmp_path) as terminal:
        terminal.wait_for(r"^> hello\n.*\S.*\n\n> Send")
        terminal.type("/export json out.json\r")
        terminal.wait_for(r"^Wrote .*")
        terminal.keys("C-d")
        assert terminal.wait_exit() == 0
    assert [chat[0] for chat in saved_chats()] == ["hello"]
