"""`dmr run`: one prompt, a chat, or a model loaded ahead."""

from __future__ import annotations

import io
import sys
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal, TypeVar

import click
from msgspec import Struct, structs

from dmr_tui.chat.conversation import Conversation
from dmr_tui.chat.names import same_model
from dmr_tui.chat.sessions import Sessions
from dmr_tui.chat.stats import stats_text
from dmr_tui.chat.turn import Turn
from dmr_tui.cli.answering import printer_for, show_answer
from dmr_tui.cli.command import command, run_async
from dmr_tui.cli.output import display_name, error_text, talk, whole_text
from dmr_tui.cli.progress import Waiting, show_transfer
from dmr_tui.engine.profile import Profile
from dmr_tui.engine.request import Limits, Sampling
from dmr_tui.errors import ModelNotFoundError, RegistryError, UsageError
from dmr_tui.paths import Paths
from dmr_tui.runner.base import Runner
from dmr_tui.settings import Settings, load_settings, parse_duration

Color = Literal["auto", "yes", "no"]
T = TypeVar("T", bound=Struct)


@dataclass(frozen=True)
class Job:
    """What one `dmr run` is to do, read from its command line.

    Attributes:
        conversation: as the options describe it; its model may be empty with `goes_on`.
        prompt: the words of the command line.
        piped: what came from stdin.
        goes_on: with the last saved chat.
        save: keep what is said.
    """

    conversation: Conversation
    prompt: str
    piped: str
    goes_on: bool
    save: bool
    detach: bool
    verbose: bool
    color: Color

    @property
    def text(self) -> str:
        """What is asked at once; empty: chat."""
        return "\n\n".join(filter(None, (self.prompt, self.piped)))

    @property
    def is_file(self) -> bool:
        """The model is a file, and not in the store."""
        return Path(self.conversation.model).is_absolute()


@command(
    "run",
    "dmr run smollm2",
    'dmr run smollm2 "Why is the sky blue?"',
    'dmr run dmr/guide "How do I pull a model?"',
    "git diff | dmr run smollm2 Write a commit message for this change",
    "dmr run ./model.gguf hello",
    "dmr run gemma3 What is in @photo.jpg?",
    "dmr run --continue",
    "dmr run -d smollm2",
)
@click.argument("model", required=False)
@click.argument("prompt", nargs=-1)
@click.option(
    "-c", "--continue", "goes_on", is_flag=True, help="Go on with the last chat, or MODEL's last."
)
@click.option("--no-save", is_flag=True, help="Do not save this chat.")
@click.option("-d", "--detach", is_flag=True, help="Only load the model, in the server.")
@click.option("--verbose", is_flag=True, help="Show token counts and speeds after an answer.")
@click.option("--system", metavar="TEXT", help="How the model should behave.")
@click.option(
    "--temperature", metavar="X", type=click.FloatRange(min=0), help="How freely tokens are drawn."
)
@click.option("--seed", metavar="N", type=int, help="The same seed draws the same tokens.")
@click.option(
    "--max-tokens", metavar="N", type=click.IntRange(min=1), help="Most tokens of an answer."
)
@click.option("--num-ctx", metavar="N", type=click.IntRange(min=1), help="Context size in tokens.")
@click.option("--force", is_flag=True, help="Load it even if it seems too large for the memory.")
@click.option("--keep-alive", metavar="TIME", help="How long to stay loaded: 10m, 0, -1 (ever).")
@click.option(
    "--color",
    type=click.Choice(["auto", "yes", "no"]),
    default="auto",
    show_default=True,
    help="Render Markdown.",
)
@click.option("--debug", is_flag=True, hidden=True)
def run_command(
    model: str | None,
    prompt: tuple[str, ...],
    goes_on: bool,
    no_save: bool,
    detach: bool,
    verbose: bool,
    system: str | None,
    temperature: float | None,
    seed: int | None,
    max_tokens: int | None,
    num_ctx: int | None,
    force: bool,
    keep_alive: str | None,
    color: Color,
    debug: bool,
) -> None:
    """Run a model and talk to it.

    With a PROMPT, or text on stdin, print the answer and leave; with both, they are joined.
    Without, on a terminal, chat. MODEL is a name, downloaded when it is not here, or a .gguf file.
    @FILE in a PROMPT stands for the text of that file, or shows that image to the model.

    The tiny model dmr/guide comes with dmr: it knows dmr, and needs no network.
    """
    if not model and not goes_on:
        raise UsageError("Missing argument 'MODEL'.", "dmr list shows the models that are here")
    alive = None if keep_alive is None else parse_duration(keep_alive, "--keep-alive")
    conversation = Conversation(
        _model_or_file(model) if model else "",
        None if system is None else whole_text(system),
        sampling=Sampling(temperature=temperature, seed=seed),
        limits=Limits(max_tokens=max_tokens),
        profile=Profile(context_size=num_ctx, keep_alive=alive, force=force or None),
    )
    piped = "" if detach or sys.stdin.isatty() else _read_stdin()
    said = whole_text(" ".join(prompt))
    job = Job(conversation, said, piped, goes_on, not no_save, detach, verbose, color)
    if detach and job.is_file:
        raise UsageError(
            "--detach needs a model of the store, not a file",
            f"dmr package --gguf {model} NAME makes one",
        )
    if not (job.text or detach or (sys.stdin.isatty() and sys.stdout.isatty())):
        how = f"dmr run {'-c ' if goes_on else ''}{model or 'MODEL'}"
        raise UsageError("no prompt", f'say one: {how} "…", or chat on a terminal')
    if debug:
        talk(f"Running model {model}" + (f" with prompt {job.text}" if job.text else ""))
    run_async(_run(job))


def _read_stdin() -> str:
    """What is piped in, as text: bytes that are no characters become U+FFFD."""
    if isinstance(sys.stdin, io.TextIOWrapper):
        sys.stdin.reconfigure(errors="replace")
    return sys.stdin.read()


def _model_or_file(model: str) -> str:
    """An absolute path for what can only be a file, else the name as it is."""
    if model.lower().endswith(".gguf") or model.startswith(("/", "./", "../", "~")):
        path = Path(model).expanduser().absolute()
        if not path.is_file():
            raise ModelNotFoundError(f"no such file: {path}", "dmr list shows the models in store")
        if path.suffix.lower() != ".gguf":
            raise UsageError(f"{path} is no .gguf file")
        return str(path)
    return model


async def _run(job: Job) -> None:
    paths = Paths.default()
    settings = load_settings(paths)
    sessions = Sessions(paths.chats)
    saving = job.save and settings.save_chats
    try:
        if job.goes_on:
            job = replace(job, conversation=await _last_chat(sessions, job.conversation))
        runner = await _open(job, paths, settings)
        try:
            if not job.is_file:
                await _pull_if_missing(runner, job.conversation.model)
            if job.detach:
                await _load_ahead(runner, job)
            elif job.text:
                await _answer_once(runner, job, sessions if saving and job.goes_on else None)
            else:
                from dmr_tui.cli.repl import Repl

                await Repl(
                    runner, job.conversation, paths, sessions=sessions, saving=saving,
                    color=job.color, verbose=job.verbose,
                ).run()  # fmt: skip
        finally:
            await runner.close()
    finally:
        await sessions.close()


async def _last_chat(sessions: Sessions, wanted: Conversation) -> Conversation:
    """The chat that was used last, with what the command line asks for.

    Raises:
        UsageError: there is none.
    """
    chats = await sessions.chats()
    found = [chat for chat in chats if not wanted.model or same_model(chat.model, wanted.model)]
    if not found:
        whose = f" with {wanted.model}" if wanted.model else ""
        hint = "dmr run MODEL begins one"
        if chats:
            hint += f'; the last one is with {chats[0].model}: dmr run -c {chats[0].model} "…"'
        raise UsageError(f"there is no saved chat{whose}", hint)
    last = await sessions.load(found[0].id)
    last.model = wanted.model or last.model
    last.system = wanted.system or last.system
    last.sampling = _overlaid(last.sampling, wanted.sampling)
    last.limits = _overlaid(last.limits, wanted.limits)
    last.profile = _overlaid(last.profile, wanted.profile)
    return last


def _overlaid(below: T, above: T) -> T:
    """`below` with every field that `above` sets."""
    given = {
        name: value
        for name in above.__struct_fields__
        if (value := getattr(above, name)) is not None and value != getattr(type(above)(), name)
    }
    return structs.replace(below, **given)


async def _open(job: Job, paths: Paths, settings: Settings) -> Runner:
    from dmr_tui.runner.contexts import open_runner
    from dmr_tui.runner.local import LocalRunner

    if job.is_file:
        # A server, which may be on another machine, is not asked to open files.
        return LocalRunner.open(paths, settings, client="dmr run")
    runner: Runner = await open_runner(settings, paths, client="run")
    if job.detach and isinstance(runner, LocalRunner):
        from dmr_tui.cli.background import start_server

        await runner.close()
        url = await start_server(paths)
        talk(f"Started the server at {url}; dmr stop-runner ends it")
        runner = await open_runner(settings, paths, client="run")
    return runner


async def _pull_if_missing(runner: Runner, model: str) -> None:
    try:
        await runner.model(model)
        return
    except ModelNotFoundError as missing:
        near = _near(missing.hint or "")
        talk(f"Unable to find model '{model}' locally. Pulling from the server.")
    try:
        talk(await show_transfer(runner.pull(model)))
    except RegistryError as error:
        ways = (
            "dmr list shows the models that are here",
            "dmr run dmr/guide runs the tiny model that comes with dmr",
            "dmr run ./file.gguf runs a model file",
            "dmr package --gguf FILE NAME puts one into the store",
            "behind a proxy, set HTTPS_PROXY",
        )
        raise RegistryError(
            error.message, "\n".join(filter(None, (error.hint, near, *ways)))
        ) from error


def _near(hint: str) -> str:
    """The names that may have been meant, of a hint that also says how to fetch the model."""
    return hint.partition(" or fetch it")[0] if hint.startswith("did you mean") else ""


async def _load_ahead(runner: Runner, job: Job) -> None:
    model = job.conversation.model
    async with Waiting(f"Loading {display_name(model)}"):
        await runner.load(model, profile=job.conversation.profile)
    talk(f"Model {model} loaded")


async def _answer_once(runner: Runner, job: Job, sessions: Sessions | None) -> None:
    turn = Turn(job.conversation, runner, job.prompt, piped=job.piped, sessions=sessions)
    await show_answer(
        turn, display_name(job.conversation.model), printer_for(sys.stdout, job.color)
    )
    if job.verbose:
        talk(f"\n{stats_text(turn.stats())}")
    if sessions is not None and sessions.problem is not None:
        talk(error_text(sessions.problem))
