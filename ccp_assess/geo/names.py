"""Names of places as people write them: case, accents, apostrophes and spelled-out umlauts do not matter."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator

# Letters that Unicode does not take apart, and marks that people leave out.
_SPELLED = str.maketrans(
    {
        "ø": "o",
        "ł": "l",
        "đ": "d",
        "æ": "ae",
        "œ": "oe",
        "\u0131": "i",  # dotless i
        "ð": "d",
        "þ": "th",
        "'": "",
        ".": "",
        "\u2019": "",
    }
)
_ABBREVIATIONS = {"st": "saint", "ste": "sainte", "mt": "mount", "ft": "fort"}


def folded_name(name: str) -> str:
    """Reduce a name to what it is compared by.

    Parameters
    ----------
    name
        As written.

    Returns
    -------
    folded
        Lower case without accents, marks and superfluous blanks.

    Examples
    --------
    >>> folded_name("  São  Paulo"), folded_name("Saint-Denis"), folded_name("N'Djamena")
    ('sao paulo', 'saint denis', 'ndjamena')
    """
    spelled = name.casefold().translate(_SPELLED)
    plain = "".join(c for c in unicodedata.normalize("NFKD", spelled) if not unicodedata.combining(c))
    return " ".join("".join(c if c.isalnum() else " " for c in plain).split())


def spellings(folded: str) -> Iterator[str]:
    """Yield the ways in which the gazetteer may spell a folded name, the name itself first.

    Parameters
    ----------
    folded
        Result of `folded_name`.

    Yields
    ------
    spelling
        Folded too.

    Examples
    --------
    >>> list(spellings("goeppingen"))
    ['goeppingen', 'goppingen', 'goeppingen city']
    """
    words = folded.split()
    tried = [
        folded,
        " ".join(_ABBREVIATIONS.get(word, word) for word in words),
        " ".join({"saint": "st", "sainte": "ste"}.get(word, word) for word in words),
        re.sub(r"([aou])e", r"\1", folded),  # Goeppingen, Duesseldorf
        folded.removesuffix(" city"),
        f"{folded} city",
    ]
    yield from dict.fromkeys(tried)
