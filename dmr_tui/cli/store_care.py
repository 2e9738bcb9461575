"""Commands that keep the store in order: `fsck`, `prune` and `purge`."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import click
import msgspec

from dmr_tui.cli.bar import Bar
from dmr_tui.cli.command import command, with_runner
from dmr_tui.cli.local_store import open_store
from dmr_tui.cli.output import display_name, json_text, size_text, talk

if TYPE_CHECKING:
    from dmr_tui.store.fsck import Problem, Report
    from dmr_tui.store.garbage import Removed


@command("fsck", "dmr fsck", "dmr fsck --full", "dmr fsck --full --dry-run --json")
@click.option("--full", is_flag=True, help="Read every file and hold it against its digest.")
@click.option("-n", "--dry-run", is_flag=True, help="Change nothing.")
@click.option("--json", "as_json", is_flag=True, help="Print the report as JSON.")
def fsck_command(full: bool, dry_run: bool, as_json: bool) -> int:
    """Check the models on disk, and repair them.

    Sizes are always checked, digests with --full. A damaged file is put aside, into quarantine;
    'dmr pull' then fetches it again. An index that cannot be read is built anew from what is there.
    The exit code is 1 when something is wrong that could not be repaired.
    """
    from dmr_tui.store.fsck import fsck

    with Bar("Checking") as bar:
        report = fsck(open_store(), full=full, repair=not dry_run, on_progress=bar.show)
    if as_json:
        print(json_text({"clean": report.clean, **msgspec.to_builtins(report)}))
    else:
        _print_report(report, full)
    return 0 if report.clean else 1


def _print_report(report: Report, full: bool) -> None:
    for problem in report.problems:
        print(_line(problem))
    for name in report.damaged:
        print(f"{display_name(name)} is damaged: fetch it again with dmr pull {display_name(name)}")
    how = f"{size_text(report.hashed)} read" if full else "sizes only, --full reads every file"
    print(f"{report.models} models, {report.blobs} files checked ({how}): {_verdict(report)}")
    if report.garbage:
        counts = ", ".join(f"{count} {kind}" for kind, count in sorted(report.garbage.items()))
        talk(f"Not needed by any model: {counts}. dmr prune removes what is old enough.")


def _line(problem: Problem) -> str:
    state = "repaired" if problem.repaired else "damaged"
    users = f" (needed by {', '.join(map(display_name, problem.models))})" if problem.models else ""
    return f"{state}: {problem.place} {problem.name}: {problem.what}{users}"


def _verdict(report: Report) -> str:
    if not report.problems:
        return "all right"
    bad = sum(not problem.repaired for problem in report.problems)
    return f"{len(report.problems)} problems, {len(report.problems) - bad} repaired"


@command("prune", "dmr prune", "dmr prune --partials", "dmr prune --all -f", "dmr prune --dry-run")
@click.option(
    "-a",
    "--all",
    "everything",
    is_flag=True,
    help="Also models without a name, all partial downloads, the quarantine, and new files.",
)
@click.option("--partials", is_flag=True, help="Also partial downloads younger than 7 days.")
@click.option("-f", "--force", is_flag=True, help="Do not ask.")
@click.option("-n", "--dry-run", is_flag=True, help="Only say what would go.")
@click.option("--json", "as_json", is_flag=True, help="Print what went as JSON.")
def prune_command(
    everything: bool, partials: bool, force: bool, dry_run: bool, as_json: bool
) -> int:
    """Remove what no model needs.

    That is what crashes, moved names and interrupted downloads leave: unused files, and partial
    downloads older than 7 days. What is younger than an hour stays, and always what a running
    program needs.
    """
    from dmr_tui.store.garbage import preview, prune

    store = open_store()
    found = preview(store, everything=everything, partials=partials)
    if dry_run:
        _print_removed(found, as_json, "Would free")
        return 0
    if found and not force:
        _print_removed(found, False, "This will free", to_stderr=True)
        if not _confirmed():
            return 0
    _print_removed(prune(store, everything=everything, partials=partials), as_json, "Freed")
    return 0


def _print_removed(
    items: list[Removed], as_json: bool, verb: str, *, to_stderr: bool = False
) -> None:
    if as_json:
        print(json_text([item._asdict() for item in items]))
        return
    out = sys.stderr if to_stderr else sys.stdout
    for item in items:
        print(f"{item.kind + ':':<12} {item.name}  {size_text(item.size)}", file=out)
    print(f"{verb} {size_text(sum(item.size for item in items))}", file=out)


@command("purge", "dmr purge", "dmr purge -f")
@click.option("-f", "--force", is_flag=True, help="Do not ask, and also remove what is in use.")
def purge_command(force: bool) -> int:
    """Remove all models.

    Models in memory are unloaded first. 'dmr pull dmr/guide' brings the built-in one back.
    """
    if not force:
        talk("WARNING! This will remove the entire models directory.")
        if not _confirmed():
            return 0
    with_runner(lambda runner: runner.purge(force=force))
    return 0


def _confirmed() -> bool:
    """Ask for a yes; anything else is a no."""
    click.echo("Are you sure you want to continue? [y/N] ", nl=False, err=True)
    if sys.stdin.readline().strip() in ("y", "Y"):
        return True
    talk("Operation cancelled.")
    return False
