"""`python -m dmr_tui`, and the console script `dmr`."""

from __future__ import annotations


def main() -> None:
    """Run the command line and leave with its exit code."""
    from dmr_tui.cli.main import run

    raise SystemExit(run())


if __name__ == "__main__":
    main()
