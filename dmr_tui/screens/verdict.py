"""Where a model would run, in a few letters: a column of both screens that list models."""

from __future__ import annotations

from typing import TYPE_CHECKING

from textual.content import Content

from dmr_tui.widgets.figures import short_size

if TYPE_CHECKING:
    from dmr_tui.engine.fit import Fit


def verdict(fit: Fit, *, sure: bool = True, with_memory: bool = True) -> Content:
    """`GPU 6.9G`, `CPU 2.1G`, `SPLIT 48/62`, `NO −19.6G`.

    Args:
        fit: what loading it would take.
        sure: it was worked out from the model's own header, and not estimated.
        with_memory: how much it takes where it fits.
    """
    about = "" if sure else "~"
    if not fit.fits:
        return Content.styled(f"NO  {about:>1}−{short_size(fit.missing)}", "$text-error")
    if 0 < fit.gpu_layers < fit.layers:
        return Content.styled(f"SPLIT {about}{fit.gpu_layers}/{fit.layers}", "$text-warning")
    where = "GPU" if fit.gpu_layers else "CPU"
    memory = f" {about + short_size(fit.total):>6}" if with_memory else ""
    return Content.styled(where + memory, "$text-success")
