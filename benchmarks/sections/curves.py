"""Small curves side by side, as SVG."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

WIDTH, HEIGHT, MARGIN, COLUMNS = 184, 130, 30, 5
INKS = {"suggested": 'stroke="#1f6feb"', "random": 'stroke="#8b949e" stroke-dasharray="4 3"'}


@dataclass(frozen=True)
class Panel:
    """Curves by name over the same `x`."""

    title: str
    x: Sequence[float]
    curves: dict[str, Sequence[float]]


def as_svg(panels: Sequence[Panel]) -> str:
    """A picture of all panels, each with an axis of its own; colours that are read on white and on black."""
    rows = -(-len(panels) // COLUMNS)
    size = f'width="{COLUMNS * WIDTH}" height="{rows * HEIGHT + 24}"'
    legend = " ".join(
        f'<line x1="{10 + 110 * i}" y1="12" x2="{40 + 110 * i}" y2="12" {ink}/>{_text(46 + 110 * i, 16, name)}'
        for i, (name, ink) in enumerate(INKS.items())
    )
    drawn = [_panel(panel, i % COLUMNS * WIDTH, i // COLUMNS * HEIGHT + 24) for i, panel in enumerate(panels)]
    style = 'fill="none" stroke-width="1.5" font-family="sans-serif" font-size="10"'
    return "\n".join([f'<svg xmlns="http://www.w3.org/2000/svg" {size} {style}>', legend, *drawn, "</svg>\n"])


def _panel(panel: Panel, left: int, top: int) -> str:
    every = [value for curve in panel.curves.values() for value in curve]
    low, high = min(every), max(every)
    first, last = panel.x[0], panel.x[-1]

    def place(x: float, y: float) -> str:
        across = left + MARGIN + (x - first) / (last - first) * (WIDTH - MARGIN - 12)
        down = top + 18 + (high - y) / ((high - low) or 1) * (HEIGHT - 18 - MARGIN)
        return f"{across:.1f},{down:.1f}"

    lines = [_line(INKS[name], map(place, panel.x, curve)) for name, curve in panel.curves.items()]
    bottom = top + HEIGHT - MARGIN
    told = [
        _text(left + MARGIN, top + 10, panel.title),
        _text(left, top + 22, f"{high:.2f}"),
        _text(left, bottom, f"{low:.2f}"),
        _text(left + MARGIN, bottom + 14, f"{first:g}"),
        _text(left + WIDTH - 24, bottom + 14, f"{last:g}"),
    ]
    return "\n".join([*lines, *told])


def _line(ink: str, places: Iterable[str]) -> str:
    return f'<polyline points="{" ".join(places)}" {ink}/>'


def _text(x: float, y: float, content: str) -> str:
    return f'<text x="{x}" y="{y}" fill="#8b949e">{content}</text>'
