"""Problems of a table: all of them are looked for, one sentence is shown."""

from __future__ import annotations

from collections.abc import Callable
from typing import ParamSpec, TypeVar

from ccp_assess.errors import TableError

_P = ParamSpec("_P")
_T = TypeVar("_T")
_ROWS_NAMED = 5


class Problems:
    """Collects what is wrong with a table, so that the user hears of all of it at once."""

    def __init__(self) -> None:
        self._found: list[TableError] = []

    def __bool__(self) -> bool:
        return bool(self._found)

    def __len__(self) -> int:
        return len(self._found)

    def add(self, problem: TableError) -> None:
        """Remember a problem.

        Parameters
        ----------
        problem
            What is wrong.
        """
        self._found.append(problem)

    def take(self, read: Callable[_P, _T], *args: _P.args, **kwargs: _P.kwargs) -> _T | None:
        """Call a reader and remember its problem, if it has one.

        Parameters
        ----------
        read
            A function that raises ``TableError``.
        *args, **kwargs
            What it is called with.

        Returns
        -------
        value
            What it returned; ``None`` if it raised.
        """
        try:
            return read(*args, **kwargs)
        except TableError as problem:
            self.add(problem)
            return None

    def raise_first(self) -> None:
        """Raise the first problem by row, saying how many more there are and where.

        Raises
        ------
        TableError
            If there is any problem; its ``each`` holds all of them.
        """
        if not self._found:
            return
        first, *others = sorted(self._found, key=lambda problem: problem.row or 0)
        if not others:
            raise first
        raised = TableError(
            f"{first.problem} (and {_counted(others)})", file=first.file, row=first.row, column=first.column
        )
        raised.each = (first, *others)
        raise raised


def _counted(others: list[TableError]) -> str:
    noun = "problem" if len(others) == 1 else "problems"
    rows = list(dict.fromkeys(other.row for other in others if other.row is not None))
    if not rows:
        return f"{len(others)} more {noun}"
    named = ", ".join(map(str, rows[:_ROWS_NAMED])) + (", ..." if len(rows) > _ROWS_NAMED else "")
    return f"{len(others)} more {noun}, in row{'' if len(rows) == 1 else 's'} {named}"
