"""What a person typed into the fleet panel, kept out of sight while names are masked: paths name somebody, too."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ccp_assess.fleet.masked import AnswersMask

MASK_WORDS = "Mask all names"
"""As on the report panel."""
_SHORTEST = 3
"""A folder called ``.`` is not looked for in sentences."""


class Fields:
    """Fields of a panel, whose values may be covered.

    Parameters
    ----------
    stand_ins
        Field → what is shown instead of its value.

    Attributes
    ----------
    mask
        What stands for what in texts; ``None`` while names are shown.
    """

    def __init__(self, stand_ins: Mapping[Any, str]) -> None:
        self._stand_ins, self._held = dict(stand_ins), dict[Any, str]()
        self.mask: AnswersMask | None = None
        self.is_changing = False

    def value(self, field: Any) -> str:
        """Return what was typed, whatever is shown."""
        return str(self._held.get(field, field.value)).strip()

    def cover(self, mask: AnswersMask | None) -> None:
        """Cover the values, or show them again.

        Parameters
        ----------
        mask
            What stands for what; ``None`` to show names.
        """
        self.is_changing = True
        try:
            for field, words in self._stand_ins.items():
                if mask is not None and field not in self._held:
                    self._held[field] = field.value
                    field.value = words if field.value else ""
                elif mask is None and field in self._held:
                    field.value = self._held.pop(field)
                field.disabled = mask is not None
        finally:
            self.is_changing = False
        self.mask = mask

    def words(self, sentence: str) -> str:
        """Return a sentence, such as an error's, as it may be shown."""
        if self.mask is None:
            return sentence
        typed = [(line.strip(), words) for field, words in self._stand_ins.items() for line in self._lines(field)]
        both = ((path, words) for line, words in typed for path in (line, str(Path(line).resolve())))
        known = {path: words for path, words in both if len(path) >= _SHORTEST}
        for path in sorted(known, key=len, reverse=True):
            sentence = sentence.replace(path, known[path])
        return self.mask.text(sentence)

    def _lines(self, field: Any) -> list[str]:
        return [line for line in self._held.get(field, "").splitlines() if line.strip()]
