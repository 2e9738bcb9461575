from __future__ import annotations

import asyncio
import io

import pyte
import pytest

from dmr_tui.cli.markdown import MarkdownPrinter

DOCUMENT = """\
# Title

Some **bold** words and `code`, and then so many more of them that the line must be broken.
<b>no markup</b>

1. one
2. two
   - deep

   still two
3. three

- a
- b

| Name | Value |
|------|-------|
| x    | 1     |

```python
TEXT = '''
def no_function
'''

def function(): pass
```

> said

Last.
"""

SHOWN = """\
Title

Some bold words and code, and then so many more of them that
the line must be broken. <b>no markup</b>

 1 one
 2 two
    • deep
   still two
 3 three

 • a
 • b

 Name  Value
 ───────────
 x     1

```python
TEXT = '''
def no_function
'''

def function(): pass
```

▌ said

Last."""


class Screen(io.StringIO):
    """A terminal of 60 columns, tall enough for everything."""

    def isatty(self) -> bool:
        return True

    def draw(self) -> pyte.Screen:
        screen = pyte.Screen(60, 100)
        pyte.Stream(screen).feed(self.getvalue().replace("\n", "\r\n"))
        return screen

    def text(self) -> str:
        return "\n".join(line.rstrip() for line in self.draw().display).rstrip()


@pytest.fixture(autouse=True)
def sixty_columns(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.setenv("COLUMNS", "60")
    monkeypatch.setenv("LINES", "100")


async def printed(chunks: list[str], *, pause: bool = True) -> Screen:
    screen = Screen()
    now = 0.0
    printer = MarkdownPrinter(screen, clock=lambda: now)
    for chunk in chunks:
        now += 1.0  # Each chunk comes long after the last drawing.
        printer.write(chunk)
        if pause:
            for _ in range(3):
                await asyncio.sleep(0)
    printer.close()
    return screen


async def test_a_document() -> None:
    assert (await printed([DOCUMENT])).text() == SHOWN


async def test_letter_by_letter_is_the_same() -> None:
    screen = await printed(list(DOCUMENT))
    assert screen.text() == SHOWN
    assert "\x1b[J" in screen.getvalue()  # It was drawn on the way.


async def test_what_comes_between_two_drawings_is_not_lost() -> None:
    assert (await printed(list(DOCUMENT), pause=False)).text() == SHOWN


async def test_a_closed_printer_leaves_the_cursor_on_a_new_line() -> None:
    screen = (await printed(["no line end"])).draw()
    assert (screen.cursor.y, screen.cursor.x) == (1, 0)


async def test_styles() -> None:
    screen = (await printed([DOCUMENT])).draw()
    assert screen.buffer[2][5].bold  # bold
    assert screen.buffer[2][20].fg == "cyan"  # code
    # Highlighting knows that a line is inside a string of many lines.
    rows = [line.rstrip() for line in screen.display]
    inside, outside = rows.index("def no_function"), rows.index("def function(): pass")
    assert screen.buffer[inside][0].fg != screen.buffer[outside][0].fg
    assert all(cell.bg == "default" for row in screen.buffer.values() for cell in row.values())


async def test_no_color(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    screen = (await printed([DOCUMENT])).draw()
    assert {cell.fg for row in screen.buffer.values() for cell in row.values()} == {"default"}
    assert screen.buffer[2][5].bold


async def test_long_code_lines_are_not_cut() -> None:
    line = "x = " + "1" * 100
    shown = (await printed([f"```\n{line}\n```\n"])).text()
    assert "".join(shown.splitlines()[1:-1]) == line


async def test_an_answer_of_nothing_prints_nothing() -> None:
    assert (await printed([""])).getvalue() == ""
