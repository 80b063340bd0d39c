"""Every error that this package raises on purpose: one base, a child for each thing a caller can mend."""

from __future__ import annotations


class CcpAssessError(Exception):
    """Base of all errors of this package; its text is one sentence that a user can act on."""


def first_line(error: BaseException) -> str:
    """Return what an error says, in one line: the system's own words where it has them.

    Parameters
    ----------
    error
        Any.

    Returns
    -------
    line
        Its type's name where it says nothing.

    Examples
    --------
    >>> first_line(FileNotFoundError(2, "No such file or directory", "a.pcap")), first_line(KeyError())
    ('No such file or directory', 'KeyError')
    """
    return str(getattr(error, "strerror", None) or str(error) or type(error).__name__).splitlines()[0]


LONGEST_QUOTE = 60
"""Characters of what somebody wrote that a sentence repeats: a cell or a name may be as long as a book."""


def shortened(text: str) -> str:
    """Cut a text for a message.

    Parameters
    ----------
    text
        Any.

    Returns
    -------
    text
        With dots where something is left out.

    Examples
    --------
    >>> shortened("Lisbon"), len(shortened("x" * 1000))
    ('Lisbon', 60)
    """
    return text if len(text) <= LONGEST_QUOTE else f"{text[: LONGEST_QUOTE - 3]}..."


def quoted(text: str) -> str:
    r"""Quote what somebody wrote for a message: not all of a very long one, and in one line.

    Parameters
    ----------
    text
        Any.

    Returns
    -------
    quoted
        Between quotation marks.

    Examples
    --------
    >>> quoted("a\nb")
    "'a\\nb'"
    """
    return repr(shortened(text))


class CaptureError(CcpAssessError, ValueError):
    """A capture cannot be read at all; the text names the file and what it holds instead."""


class UnavailableError(CcpAssessError, OSError):
    """Where a capture lies does not answer now; the capture itself may be whole, and trying again may help."""


class StateError(CcpAssessError, ValueError):
    """What a reading in parts handed on cannot be taken up; the text says why. Reading from the beginning helps."""


class ParseError(CcpAssessError, ValueError):
    """Bytes or text do not follow the format; the text says where and what was expected."""


class TableError(CcpAssessError, ValueError):
    """A table from a user is wrong.

    Parameters
    ----------
    problem
        What is wrong and what to do, one sentence.
    file
        The file (or sheet) that holds the table.
    row
        The line of the file, counted from 1 with the header as line 1; ``None`` if it concerns the whole.
    column
        The column concerned.

    Attributes
    ----------
    each
        All that is wrong with the table where it was looked at as a whole; else the error alone.
    """

    def __init__(
        self, problem: str, *, file: str | None = None, row: int | None = None, column: str | None = None
    ) -> None:
        self.problem, self.file, self.row, self.column = problem, file, row, column
        self.each: tuple[TableError, ...] = (self,)
        place = [
            part
            for part in (
                file,
                None if row is None else f"row {row}",
                None if column is None else f"column {shortened(column)}",
            )
            if part
        ]
        super().__init__(f"{', '.join(place)}: {problem}" if place else problem)


class ReferenceFactError(CcpAssessError, LookupError):
    """A fact is asked for that the reference tables do not hold; the text lists what they do hold."""


class ModelInputError(CcpAssessError, ValueError):
    """A number is outside what a model is defined for; the text names it and the bound."""


class UnknownRegionError(ReferenceFactError):
    """The Region is not in ``reference/regions.csv``; the text lists the known ones."""


class PlaceError(CcpAssessError, LookupError):
    """A place name is unknown or ambiguous.

    Parameters
    ----------
    problem
        What is wrong, one sentence that names the candidates.
    candidates
        Names that would be understood, best first.
    """

    def __init__(self, problem: str, candidates: tuple[str, ...] = ()) -> None:
        self.candidates = candidates
        super().__init__(problem)


class AllowlistError(CcpAssessError, ValueError):
    """Rules cannot be built or read; the text says what to change."""


class ProbeError(CcpAssessError, OSError):
    """A measurement could not be made at all (no answer is data, not an error)."""


class RecordingError(CcpAssessError, OSError):
    """A call cannot be recorded; the text says what to do."""


class RecordingPermissionError(RecordingError, PermissionError):
    """Recording needs a right that this user lacks; the text says how to get exactly that right."""
