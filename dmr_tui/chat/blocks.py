"""The code blocks of an answer."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class CodeBlock:
    """One block of code.

    Attributes:
        language: the first word behind the fence; may be empty.
        text: its lines, without the fences and their indent.
    """

    language: str
    text: str

    def fenced(self) -> str:
        """The block as Markdown."""
        fence = "```"
        while fence in self.text:
            fence += "`"
        return f"{fence}{self.language}\n{self.text}\n{fence}"

    @property
    def suffix(self) -> str:
        """The ending of a file that holds it, with its dot."""
        return _SUFFIXES.get(self.language.lower(), ".txt")


def code_blocks(markdown: str) -> list[CodeBlock]:
    """The blocks of code of a text, in order: fenced and indented, in lists and quotations too."""
    # Not at the top: a slow import, and most lines that are typed need none.
    from markdown_it import MarkdownIt

    parser = MarkdownIt("commonmark", {"html": False})
    return [
        CodeBlock((token.info.split() or [""])[0], token.content.removesuffix("\n"))
        for token in parser.parse(markdown)
        if token.type in ("fence", "code_block")
    ]


_SUFFIXES = {
    "bash": ".sh",
    "c": ".c",
    "c++": ".cpp",
    "cpp": ".cpp",
    "css": ".css",
    "csv": ".csv",
    "diff": ".diff",
    "dockerfile": ".dockerfile",
    "go": ".go",
    "html": ".html",
    "java": ".java",
    "javascript": ".js",
    "js": ".js",
    "json": ".json",
    "lua": ".lua",
    "markdown": ".md",
    "md": ".md",
    "py": ".py",
    "python": ".py",
    "ruby": ".rb",
    "rust": ".rs",
    "sh": ".sh",
    "shell": ".sh",
    "sql": ".sql",
    "toml": ".toml",
    "ts": ".ts",
    "typescript": ".ts",
    "xml": ".xml",
    "yaml": ".yaml",
    "yml": ".yml",
}
