"""Where labels go so that they cover neither each other nor the marks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

Box = tuple[float, float, float, float]
"""Left, bottom, right, top in one flat unit."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """A label that wants a place near its point.

    Parameters
    ----------
    x, y
        The point.
    width, height
        Size of the text.
    radius
        Of the mark at the point.
    """

    x: float
    y: float
    width: float
    height: float
    radius: float


def place_labels(
    wanted: list[Wanted], frame: Box, obstacles: list[Box], lines: Sequence[tuple[float, float]] = ()
) -> list[Box | None]:
    """Place labels greedily, first come first served; who finds no free place gets none.

    Parameters
    ----------
    wanted
        The labels, most important first.
    frame
        Where they must stay.
    obstacles
        What they must not cover (marks).
    lines
        Points of lines that they should rather not cover.

    Returns
    -------
    boxes
        One per label in the same order; ``None`` where there was no room.

    Examples
    --------
    >>> both = [Wanted(x=50, y=50, width=20, height=10, radius=2)] * 2
    >>> first, second = place_labels(both, (0, 0, 100, 100), [])
    >>> first is not None and second is not None and first != second
    True
    """
    taken = list(obstacles)
    placed: list[Box | None] = []
    for item in wanted:
        free = (box for box in _candidates(item) if _inside(box, frame) and not any(overlap(box, t) for t in taken))
        box = min(enumerate(free), key=lambda found: (_crossings(found[1], lines), found[0]), default=(0, None))[1]
        placed.append(box)
        if box is not None:
            taken.append(box)
    return placed


def overlap(a: Box, b: Box) -> bool:
    """Say whether two boxes overlap.

    Parameters
    ----------
    a, b
        The boxes.

    Returns
    -------
    overlap
        True if they share more than an edge.
    """
    return a[0] < b[2] and b[0] < a[2] and a[1] < b[3] and b[1] < a[3]


def _crossings(box: Box, lines: Sequence[tuple[float, float]]) -> int:
    return sum(box[0] < x < box[2] and box[1] < y < box[3] for x, y in lines)


def _inside(box: Box, frame: Box) -> bool:
    return frame[0] <= box[0] and frame[1] <= box[1] and box[2] <= frame[2] and box[3] <= frame[3]


def _candidates(item: Wanted) -> list[Box]:
    """Right, left, above, below, the corners; then the same farther out, down to a dozen lines away."""
    boxes = []
    for step in (0.0, 0.7, 1.5, 2.5, 4.0, 6.0):
        gap = item.radius + 2.0 + step * item.height
        right, left = item.x + gap, item.x - gap - item.width
        middle, above, below = item.y - item.height / 2, item.y + gap, item.y - gap - item.height
        centre = item.x - item.width / 2
        for x, y in (
            (right, middle),
            (left, middle),
            (centre, above),
            (centre, below),
            (item.x + 2, above),
            (item.x + 2, below),
            (item.x - 2 - item.width, above),
            (item.x - 2 - item.width, below),
            (right, above),
            (right, below),
            (left, above),
            (left, below),
        ):
            boxes.append((x, y, x + item.width, y + item.height))
    return boxes
