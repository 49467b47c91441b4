"""One colour a class, told apart by colour-blind eyes: the palette of Okabe and Ito (2008), with a lighter blue.

All are bright enough for the timeline's dark ground: a contrast of at least 4.5 to 1 (WCAG 2, AA).
"""

from __future__ import annotations

from collections.abc import Sequence

BACKGROUND_COLOR = "#c0c4cc"
GROUND = "#17191d"
INK = "#d8dade"
FAINT_INK = "#8a9099"
GRID = "#30343b"
CURSOR = "#ffffff"

_COLORS = ("#e69f00", "#56b4e9", "#009e73", "#f0e442", "#d55e00", "#cc79a7", "#4a86e8")


def class_colors(classes: Sequence[str], background: str = "background") -> tuple[str, ...]:
    """A colour for each class as `#rrggbb`; grey for the background; colours repeat past the seventh plane.

    Args:
        classes: names of the classes.
        background: the class that is no plane.
    """
    colors = []
    planes = 0
    for name in classes:
        colors.append(BACKGROUND_COLOR if name == background else _COLORS[planes % len(_COLORS)])
        planes += name != background
    return tuple(colors)
