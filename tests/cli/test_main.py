from __future__ import annotations

import signal
import subprocess
import sys
from importlib import import_module

import pytest

import dmr_tui
from dmr_tui.cli.command import Command
from dmr_tui.cli.main import ALIASES, COMMANDS
from tests.cli.conftest import Dmr
from tests.support.terminal import Terminal

HEAVY = {
    "textual",
    "llama_cpp",
    "oras",
    "httpx",
    "prompt_toolkit",
    "jinja2",
    "rich",
    "starlette",
    "uvicorn",
    "numpy",
    "psutil",
}


def modules_after(*arguments: str) -> set[str]:
    """The modules that a command line has imported by its end."""
    code = (
        "import sys; from dmr_tui.cli.main import run\n"
        f"code = run({list(arguments)!r}); print(*sys.modules, file=sys.stderr); sys.exit(code)"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return set(run.stderr.splitlines()[-1].split())


def test_help_imports_no_command() -> None:
    loaded = modules_after("--help")
    assert not loaded & (HEAVY | {"asyncio", "msgspec"})
    rooms = {name for name in loaded if name.startswith("dmr_tui.")}
    assert rooms == {"dmr_tui.cli", "dmr_tui.cli.main", "dmr_tui.errors"}


@pytest.mark.parametrize("arguments", [("list",), ("list", "--json"), ("df",), ("run", "--help")])
def test_light_commands_import_nothing_heavy(arguments: tuple[str, ...]) -> None:
    loaded = modules_after(*arguments)
    assert not loaded & HEAVY
    assert "dmr_tui.engine.manager" not in loaded


def test_help_lists_every_command(dmr: Dmr) -> None:
    result = dmr("--help")
    assert (result.code, result.err) == (0, "")
    for name, entry in COMMANDS.items():
        assert entry.summary in result.out
        assert f"  {name}" in result.out
    assert "list, ls" in result.out
    assert "unload, stop" in result.out


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_explains_itself(name: str, dmr: Dmr) -> None:
    entry = COMMANDS[name]
    module = import_module(f"dmr_tui.cli.{entry.module}")
    command = getattr(module, f"{name.replace('-', '_')}_command")
    assert isinstance(command, Command)
    assert command.examples
    result = dmr(name, "--help")
    assert result.code == 0
    # The table's line and the command's own text begin with the same verb.
    assert (command.help or "").split()[0] == entry.summary.split()[0]
    for example in command.examples:
        assert f"  {example}\n" in result.out


@pytest.mark.parametrize(("alias", "name"), ALIASES.items())
def test_aliases(alias: str, name: str, dmr: Dmr) -> None:
    assert dmr(alias, "--help").out == dmr(name, "--help").out.replace(name, alias, 1)


def test_without_a_terminal_bare_dmr_prints_help(dmr: Dmr) -> None:
    bare = dmr()
    assert (bare.code, bare.out) == (0, dmr("--help").out)


def test_help_is_a_command_too(dmr: Dmr) -> None:
    assert dmr("help").out == dmr("--help").out
    assert dmr("help", "run").out == dmr("run", "--help").out
    assert "No such command 'rnu'. Did you mean 'run'?" in dmr("help", "rnu").err


def test_version(dmr: Dmr) -> None:
    assert dmr("--version").out == f"dmr version {dmr_tui.__version__}\n"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("lst",), "No such command 'lst'. Did you mean 'list'?"),
        (("zzzz",), "No such command 'zzzz'."),
        (("--nope",), "--nope"),
        (("rm",), "MODEL"),
        (("list", "--quiet", "--openai"), "--quiet flag cannot be used with --openai"),
        (("unload",), "--all"),
        (("unload", "m", "--all"), "--all"),
        (("run", "m", "--color", "pink"), "pink"),
        (("run", "m"), "no prompt"),
        (("run", "./x.gguf", "-d"), "no such file"),
        (("serve", "--socket", "s", "--port", "1"), "--socket"),
    ],
)
def test_wrong_usage(dmr: Dmr, arguments: tuple[str, ...], message: str) -> None:
    result = dmr(*arguments)
    assert result.code == (1 if "file" in message else 2)
    assert result.out == ""
    assert message in result.err
    assert result.err.count("Error: ") == 1


def test_a_key_that_no_client_could_bring_is_refused(dmr: Dmr) -> None:
    result = dmr("serve", "--port", "0", "--api-key", "ключ")
    assert (result.code, result.out) == (1, "")
    assert result.err.startswith("Error: --api-key: a key cannot have")


def test_failures_are_said_once_on_stderr(dmr: Dmr) -> None:
    result = dmr("inspect", "nobody")
    assert (result.code, result.out) == (1, "")
    assert result.err.startswith("Error: ")
    assert result.err.count("nobody") >= 1
    assert "Traceback" not in result.err


@pytest.mark.parametrize("command", ["['--help']", "['list']"])
def test_a_reader_that_has_enough_gets_no_complaint(command: str) -> None:
    code = (
        "import os, sys; from dmr_tui.cli.main import run\n"
        "sys.stdin.readline(); sys.exit(run(" + command + "))"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", code],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    process.stdout.close()
    assert process.stdin is not None
    process.stdin.write("go\n")
    process.stdin.flush()
    assert process.stderr is not None
    assert process.stderr.read() == ""
    assert process.wait(20) == 1
    process.stdin.close()
    process.stderr.close()


def test_what_the_machine_refuses_is_one_line(dmr: Dmr, monkeypatch: pytest.MonkeyPatch) -> None:
    full = subprocess.run(
        [sys.executable, "-m", "dmr_tui", "list"],
        stdout=open("/dev/full", "w"),  # noqa: SIM115 - closed with it
        stderr=subprocess.PIPE,
        text=True,
    )
    assert (full.returncode, full.stderr) == (1, "Error: No space left on device\n")

    def refused() -> None:
        raise PermissionError(13, "Permission denied", "/etc/secret")

    monkeypatch.setattr("dmr_tui.cli.store_care.open_store", refused)
    result = dmr("fsck")
    assert (result.code, result.err) == (1, "Error: /etc/secret: Permission denied\n")


@pytest.mark.parametrize("closed", ["<&-", ">&-", "2>&-"])
def test_a_standard_stream_may_be_missing(closed: str) -> None:
    line = f"exec {sys.executable} -m dmr_tui version {closed}"
    run = subprocess.run(["sh", "-c", line], capture_output=True, text=True)
    assert (run.returncode, run.stderr) == (0, "")


def test_settings_that_are_wrong_are_named(dmr: Dmr, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MODEL_RUNNER_PORT", "many")
    result = dmr("ps")
    assert result.code == 1
    assert "MODEL_RUNNER_PORT" in result.err


def test_interrupt_leaves_with_130(dmr: Dmr, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_: object, **__: object) -> None:
        signal.raise_signal(signal.SIGINT)

    monkeypatch.setattr("dmr_tui.cli.models.with_runner", interrupted)
    result = dmr("list")
    assert (result.code, result.out) == (130, "")
    assert "Traceback" not in result.err


_STUCK = """
import asyncio, signal, time
from dmr_tui.cli import command, main

signal.signal(signal.SIGINT, signal.default_int_handler)  # whoever started the tests may ignore it

async def search():
    print("searching", flush=True)
    await asyncio.to_thread(time.sleep, 1000)  # as where nobody tells a name's address

main._invoke = lambda arguments: command.run_async(search())
raise SystemExit(main.run([]))
"""


def test_another_interrupt_leaves_at_once() -> None:
    with subprocess.Popen(
        [sys.executable, "-c", _STUCK], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == "searching\n"
            process.send_signal(signal.SIGINT)
            with pytest.raises(subprocess.TimeoutExpired):
                process.wait(0.5)
            process.send_signal(signal.SIGINT)
            assert process.wait(20) == 130
            assert process.stderr is not None
            assert "Traceback" not in process.stderr.read()
        finally:
            process.kill()


def test_on_a_terminal_bare_dmr_opens_the_screens() -> None:
    with Terminal([sys.executable, "-m", "dmr_tui"]) as terminal:
        terminal.wait_for(r"Models")
        terminal.keys("C-q")
        assert terminal.wait_exit() == 0
