"""Markdown as rows of styled text, made for answers that grow while they are read.

`Document` takes the text so far and gives rows for a width. What is complete is parsed and laid
out once; only the block that still grows is done again. One widget draws the rows, so a long
conversation is a few widgets and not thousands.
"""

from __future__ import annotations

from dmr_tui.widgets.markdown.document import Document
from dmr_tui.widgets.markdown.rows import Row

__all__ = ["Document", "Row"]
