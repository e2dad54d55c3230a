"""Small plots and tables as HTML, for notebooks. Nothing in them is loaded from elsewhere."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from typing import Any

import numpy as np
import numpy.typing as npt

_WIDTH, _HEIGHT = 480, 160
_LEFT, _RIGHT, _TOP, _BOTTOM = 56, 12, 24, 20
_MAX_POINTS = 2000


@dataclass(frozen=True)
class Mark:
    """A dot with words that show when it is pointed at."""

    x: float
    y: float
    words: str


def line_plot(
    title: str, x: npt.NDArray[Any], y: npt.NDArray[np.float64], marks: Sequence[Mark]
) -> str:
    """An SVG of the finite points and marks."""
    step = max(1, len(x) // _MAX_POINTS)
    xs = np.asarray(x, dtype=np.float64)[::step]
    ys = y[::step]
    finite = np.isfinite(ys)
    xs, ys = xs[finite], ys[finite]
    marks = [mark for mark in marks if np.isfinite(mark.y)]
    every_x = [*xs, *(mark.x for mark in marks)] or [0.0]
    every_y = [*ys, *(mark.y for mark in marks)] or [0.0]
    low_x, low_y = min(every_x), min(every_y)
    scale_x = (_WIDTH - _LEFT - _RIGHT) / ((max(every_x) - low_x) or 1)
    scale_y = (_HEIGHT - _TOP - _BOTTOM) / ((max(every_y) - low_y) or 1)

    def at(px: float, py: float) -> tuple[float, float]:
        return _LEFT + (px - low_x) * scale_x, _HEIGHT - _BOTTOM - (py - low_y) * scale_y

    points = " ".join(f"{px:.1f},{py:.1f}" for px, py in map(at, xs, ys))
    dots = "".join(
        f'<circle cx="{at(m.x, m.y)[0]:.1f}" cy="{at(m.x, m.y)[1]:.1f}" r="3.5" fill="#d62728">'
        f"<title>{escape(m.words)}: {m.y:.5g}</title></circle>"
        for m in marks
    )
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{_WIDTH}" height="{_HEIGHT}"'
        ' font-family="sans-serif" font-size="11" fill="#555">'
        f'<text x="{_LEFT}" y="14" font-size="12" fill="#222">{escape(title)}</text>'
        f'<text x="{_LEFT - 6}" y="{_TOP + 4}" text-anchor="end">{max(every_y):.4g}</text>'
        f'<text x="{_LEFT - 6}" y="{_HEIGHT - _BOTTOM}" text-anchor="end">{low_y:.4g}</text>'
        f'<rect x="{_LEFT}" y="{_TOP}" width="{_WIDTH - _LEFT - _RIGHT}"'
        f' height="{_HEIGHT - _TOP - _BOTTOM}" fill="none" stroke="#ccc"/>'
        f'<polyline points="{points}" fill="none" stroke="#1f77b4" stroke-width="1.5"/>'
        f"{dots}</svg>"
    )


def table(head: Sequence[str], rows: Sequence[Sequence[Any]]) -> str:
    def row(cells: Sequence[Any], tag: str) -> str:
        return "<tr>" + "".join(f"<{tag}>{escape(str(c))}</{tag}>" for c in cells) + "</tr>"

    body = "".join(row(cells, "td") for cells in rows)
    return f"<table><thead>{row(head, 'th')}</thead><tbody>{body}</tbody></table>"
