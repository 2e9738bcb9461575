"""What is said below what was found, or in its place."""

from __future__ import annotations

from textual.content import Content

from dmr_tui.errors import DmrError
from dmr_tui.screens.get.hunt import Hunt
from dmr_tui.screens.get.wish import LocalFile, Words
from dmr_tui.widgets.figures import long_size
from dmr_tui.widgets.printable import printable

_OFFLINE = (
    "What still works without them: a full name in the box (registry.example.com/me/model, "
    "localhost:5000/me/model), a path to a .gguf file, and all models that are here (1 Models)."
)


def said(hunt: Hunt, *, ready: bool, failure: DmrError | None) -> Content:
    """What there is to say of a hunt; nothing while what was found says it all.

    Args:
        hunt: what is looked for.
        ready: there is a runner.
        failure: why there is none.
    """
    if failure is not None:
        return _failed("× No runner", [failure], "^l tries again")
    if not ready:
        return Content.styled("◐  Opening the model store …", "$text-muted")
    if isinstance(hunt.wish, LocalFile):
        return _file(hunt.wish)
    if not isinstance(hunt.wish, Words):
        return Content("")
    if hunt.silent and not hunt.asking:
        errors = [error for _, error in hunt.failures]
        names = " nor ".join(place.title for place, _ in hunt.failures)
        neither = "Neither " if len(errors) > 1 else ""
        does = "answers" if len(errors) > 1 else "does not answer"
        return _failed(f"× {neither}{names} {does}", errors, "^l tries again", _OFFLINE)
    return Content("\n").join([*_waiting(hunt), *_partly(hunt), *_hidden(hunt)])


def _waiting(hunt: Hunt) -> list[Content]:
    if not any(place.on for place in hunt.places):
        return [
            Content.styled("Nobody is asked: H is Docker Hub, F Hugging Face.", "$text-warning")
        ]
    if hunt.found:
        return []
    if hunt.asking:
        names = " and ".join(place.title for place in hunt.places if place.asking)
        return [Content.styled(f"◐  asking {names} …", "$text-muted")]
    assert isinstance(hunt.wish, Words)
    words = printable(hunt.wish.text)
    return [
        Content(f"Nothing is called “{words}”." if words else "Nothing was found."),
        Content.styled(
            "Fewer letters find more; a full name with its host is taken as it is: "
            "hf.co/org/repo:Q4_K_M",
            "$text-muted",
        ),
    ]


def _partly(hunt: Hunt) -> list[Content]:
    return [
        Content.styled(f"! {printable(_cause(error))}  ^l tries again", "$text-warning")
        for _, error in hunt.failures
    ]


def _hidden(hunt: Hunt) -> list[Content]:
    count = len(hunt.found) - len(hunt.shown)
    if not count:
        return []
    return [Content.styled(f"f shows {count} more that do not fit this machine", "$text-muted")]


def _file(wish: LocalFile) -> Content:
    path = wish.path
    try:
        size = path.stat().st_size
        whole = path.is_file()
    except OSError as error:
        return Content.styled(f"× {path}: {error.strerror}", "$text-error")
    if not whole or path.suffix.lower() != ".gguf":
        return Content.styled(f"× {path} is no .gguf file", "$text-error")
    return Content.assemble(
        (printable(path.name), "bold"),
        (f"  {long_size(size)}\n\n", "$text-muted"),
        ("⏎", "bold $primary"),
        (" chats with it where it lies; nothing is copied.\n", "$text-muted"),
        (f"`dmr import {printable(str(path))}` keeps it among your models.", "$text-muted"),
    )


def _failed(title: str, errors: list[DmrError], *remedies: str) -> Content:
    lines = [Content.styled(title, "bold $text-error"), Content("")]
    lines += [Content(printable(_cause(error))) for error in errors]
    hints = [error.hint for error in errors if error.hint]
    lines += [Content.styled(printable(hint), "$text-muted") for hint in dict.fromkeys(hints)]
    lines += [Content.styled(f"\n{remedy}", "$text-muted") for remedy in remedies]
    return Content("\n").join(lines)


def _cause(error: DmrError) -> str:
    return error.message.removeprefix("failed to search ")
