"""``client.toml``: who the client is, what it allows, what matters to it, and how files name their site."""

from __future__ import annotations

import difflib
import math
import re
import tomllib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, datetime
from pathlib import Path
from typing import Any

from ccp_assess import geo
from ccp_assess.client.evidence import SiteRule, site_rule
from ccp_assess.client.problems import Problems
from ccp_assess.errors import CcpAssessError, TableError
from ccp_assess.regions import read_regions
from ccp_assess.selection.journeys import USE_CASES
from ccp_assess.selection.options import IMPORTANCES, Constraints, Weights, is_importance
from ccp_assess.services import service_name

FILE = "client.toml"


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What ``client.toml`` says.

    Parameters
    ----------
    name
        The client's name, if given.
    date
        Day of the assessment (ISO date), if given.
    use_case
        What the instance is for.
    constraints, weights
        What the client allows, and what matters to it.
    site_rule
        How files in ``probes/`` name their site.
    overruled
        Keys that the questionnaire answers otherwise.
    """

    name: str | None = None
    date: str | None = None
    use_case: str = "voice"
    constraints: Constraints = field(default_factory=Constraints)
    weights: Weights = field(default_factory=Weights)
    site_rule: SiteRule = field(default_factory=SiteRule)
    overruled: tuple[str, ...] = ()


def read_settings(
    path: Path,
    *,
    defaults: Mapping[str, Mapping[str, Any]] | None = None,
    defaults_file: str | None = None,
) -> Settings:
    """Read ``client.toml``.

    Parameters
    ----------
    path
        The file.
    defaults
        Values by section and key for what the file leaves out (those of the questionnaire).
    defaults_file
        Where they come from.

    Returns
    -------
    settings
        Checked.

    Raises
    ------
    TableError
        If the file is missing, is no TOML, or holds an unknown section, key or value.
    """
    return settings_from_text(_read_text(path), defaults=defaults, defaults_file=defaults_file)


def settings_from_text(
    text: str,
    *,
    defaults: Mapping[str, Mapping[str, Any]] | None = None,
    defaults_file: str | None = None,
) -> Settings:
    r"""Read the text of ``client.toml``.

    Parameters
    ----------
    text
        TOML.
    defaults
        Values by section and key for what the text leaves out.
    defaults_file
        Where they come from.

    Returns
    -------
    settings
        Checked.

    Raises
    ------
    TableError
        If the text is no TOML, or holds an unknown section, key or value.

    Examples
    --------
    >>> settings_from_text('[weights]\ncallers = 2').weights.callers
    2.0
    """
    try:
        document = tomllib.loads(text)
    except RecursionError:
        raise TableError("this is not valid TOML: its brackets are nested too deep", file=FILE) from None
    except ValueError as error:  # also that of a whole number of thousands of digits, which is none of TOML's own
        raise TableError(f"this is not valid TOML: {error}; text stands in quotation marks", file=FILE) from None
    _check_known(document, text)
    values = {section: {**(defaults or {}).get(section, {}), **document.get(section, {})} for section in _SECTIONS}
    source = _Source(text=text, document=document, defaults_file=defaults_file)
    problems = Problems()
    read = {
        (section, key): problems.take(_take, source, section, key, values[section][key])
        for section, keys in _SECTIONS.items()
        for key in keys
        if key in values[section]
    }
    problems.raise_first()
    overruled = [
        f"{section}.{key}"
        for section, answers in (defaults or {}).items()
        for key, answer in answers.items()
        if key in document.get(section, {}) and _quietly(section, key, answer) != read[section, key]
    ]
    return replace(_settings(read, source), overruled=tuple(overruled))


def _quietly(section: str, key: str, value: object) -> object:
    try:
        return _SECTIONS[section][key](value)
    except ValueError:
        return value


@dataclass(frozen=True, slots=True, kw_only=True)
class _Source:
    """Where values come from, so that a problem can be said to be where it is."""

    text: str
    document: Mapping[str, Any]
    defaults_file: str | None

    def wrong(self, section: str, key: str, problem: str) -> TableError:
        if key in self.document.get(section, {}) or self.defaults_file is None:
            row = _line_of(self.text, section, key)
            return TableError(problem, file=FILE, row=row, column=f"{section}.{key}")
        return TableError(problem, file=self.defaults_file, column=f"{section}.{key}")


def _settings(read: Mapping[tuple[str, str], Any], source: _Source) -> Settings:
    constraints = Constraints(**{key: value for (section, key), value in read.items() if section == "constraints"})
    weights = Weights(**{key: value for (section, key), value in read.items() if section == "weights"})
    both = sorted(set(constraints.allowed_regions) & set(constraints.excluded_regions))
    if both:
        raise source.wrong("constraints", "excluded_regions", f"{both[0]} is both allowed and excluded; choose one")
    if not any((weights.agents, weights.callers, weights.transfers)):
        problem = "the weights of agents, callers and transfers are all 0, so nothing matters; give one of them more"
        raise source.wrong("weights", "agents", problem)
    rule = read.get(("measure", "probes_match"))
    return Settings(
        name=read.get(("client", "name")),
        date=read.get(("client", "date")),
        use_case=read.get(("client", "use_case")) or "voice",
        constraints=constraints,
        weights=weights,
        site_rule=rule if isinstance(rule, SiteRule) else SiteRule(),
    )


def _read_text(path: Path) -> str:
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        raise TableError("the file does not exist; `ccp-assess new` writes one with comments", file=FILE) from None
    except OSError as error:
        raise TableError(f"the file cannot be opened ({error.strerror})", file=FILE) from None
    encoding = "utf-16" if data.startswith((b"\xff\xfe", b"\xfe\xff")) else "utf-8-sig"
    try:
        return data.decode(encoding).replace("\r\n", "\n")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise TableError(
            f"byte 0x{data[error.start]:02x} is not UTF-8; save the file as UTF-8 in your editor", file=FILE, row=line
        ) from None


def _check_known(document: Mapping[str, Any], text: str) -> None:
    for section, content in document.items():
        if section not in _SECTIONS:
            owner = next((name for name, keys in _SECTIONS.items() if section in keys), None)
            hint = f"; {section} belongs under [{owner}]" if owner else _did_you_mean(section, list(_SECTIONS), "[{}]")
            listed = ", ".join(f"[{name}]" for name in _SECTIONS)
            raise TableError(
                f"the section {section[:60]!r} is not known{hint}; known sections are {listed}",
                file=FILE,
                row=_line_of(text, None, section),
            )
        if not isinstance(content, dict):
            raise TableError(
                f"{section} must be a section; write [{section}] on a line of its own and its keys below",
                file=FILE,
                row=_line_of(text, None, section),
            )
        for key in content:
            if key not in _SECTIONS[section]:
                keys = list(_SECTIONS[section])
                raise TableError(
                    f"the key {key[:60]!r} is not known in [{section}]{_did_you_mean(key, keys)}; known keys are "
                    f"{', '.join(keys)}",
                    file=FILE,
                    row=_line_of(text, section, key),
                )


def _did_you_mean(word: str, known: Sequence[str], form: str = "{}") -> str:
    close = difflib.get_close_matches(word.lower(), known, n=1, cutoff=0.6)
    return f" (did you mean {form.format(close[0])}?)" if close else ""


def _line_of(text: str, section: str | None, key: str) -> int | None:
    """Return the line that sets a key, counted from 1; TOML's own reader does not say."""
    current = ""
    for number, line in enumerate(text.splitlines(), start=1):  # no patterns here: a line may be as long as a file
        if line.lstrip().startswith("[") and "]" in line:
            current = _bare(line.partition("]")[0])
            if section is None and current == key:
                return number
        elif "=" in line and _bare(line.partition("=")[0]) == key and section in (None, current):
            return number
    return None


def _bare(name: str) -> str:
    """Return a key or the name of a section without what stands around it."""
    return name.lstrip("[ \t").strip().strip("\"'")


def _take(source: _Source, section: str, key: str, value: object) -> object:
    try:
        return _SECTIONS[section][key](value)
    except ValueError as error:
        raise source.wrong(section, key, str(error)) from None


def _text(value: object) -> str | None:
    if not isinstance(value, str):
        raise ValueError(f'{_shown(value)} is no text; write it in quotation marks, as in "Example Ltd"')  # noqa: TRY004 - one kind of error for every wrong value
    return re.sub(r"\s+", " ", value).strip() or None


def _day(value: object) -> str | None:
    if isinstance(value, datetime):
        return value.date().isoformat()
    if isinstance(value, date):
        return value.isoformat()
    if value == "":
        return None
    try:
        return date.fromisoformat(str(value).strip()).isoformat()
    except ValueError:
        raise ValueError(f"{_shown(value)} is no date; write it as 2026-11-23") from None


def _use_case(value: object) -> str | None:
    word = (_text(value) or "").lower().replace("-", "_").replace(" ", "_")
    if word and word not in USE_CASES:
        raise ValueError(
            f"the use case {_shown(value)} is not known{_did_you_mean(word, list(USE_CASES))}; known use cases are "
            f"{', '.join(USE_CASES)}"
        )
    return word or None


def _yes_or_no(value: object) -> bool:
    if not isinstance(value, bool):
        raise ValueError(f"{_shown(value)} is neither true nor false; write one of them, without quotation marks")  # noqa: TRY004 - as above
    return value


def _importance(value: object) -> float:
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    if not is_number or not math.isfinite(float(str(value))):
        raise ValueError(f"{_shown(value)} is no number; write an importance of 0 or more, such as 1 or 0.5")
    importance = float(str(value))
    if importance < 0:
        raise ValueError(f"{_shown(value)} is negative; an importance is 0 or more")
    if not is_importance(importance):
        raise ValueError(f"{_shown(value)} is too large or too small; an importance is {IMPORTANCES}")
    return importance


def _words(value: object) -> tuple[str, ...]:
    if isinstance(value, str):
        value = [value] if value.strip() else []
    if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
        raise ValueError(f'{_shown(value)} is no list of names; write it as in ["eu-west-2", "eu-central-1"]')
    return tuple(dict.fromkeys(item.strip() for item in value if item.strip()))


def _regions(value: object) -> tuple[str, ...]:
    return tuple(dict.fromkeys(_region(word) for word in _words(value)))


def _region(word: str) -> str:
    regions = read_regions()
    if word.lower() in regions:
        return word.lower()
    named = [
        code for code, region in regions.items() if word.casefold() in (region.name.casefold(), region.place.casefold())
    ]
    hint = f" (did you mean {named[0]}?)" if named else _did_you_mean(word, list(regions))
    raise ValueError(f"Region {word[:60]!r} is unknown{hint}; known Regions are {', '.join(sorted(regions))}")


def _services(value: object) -> tuple[str, ...]:
    return tuple(dict.fromkeys(_service(word) for word in _words(value)))


def _service(word: str) -> str:
    try:
        return service_name(word)
    except CcpAssessError as error:
        raise ValueError(str(error)) from None


def _residency(value: object) -> tuple[str, ...]:
    return tuple(dict.fromkeys(_jurisdiction(word) for word in _words(value)))


def _jurisdiction(word: str) -> str:
    if word.upper() == "EU":
        return "EU"
    try:
        return geo.find_country(word).code
    except CcpAssessError as error:
        raise ValueError(f"{error}; residency is a list of ISO country codes or EU") from None


def _site_rule(value: object) -> SiteRule:
    return site_rule(value)


def _shown(value: object) -> str:
    shown = str(value).lower() if isinstance(value, bool) else repr(value)
    return shown if len(shown) <= 60 else f"{shown[:57]}..."


_SECTIONS: dict[str, dict[str, Callable[[object], object]]] = {
    "client": {"name": _text, "date": _day, "use_case": _use_case},
    "constraints": {
        "allowed_regions": _regions,
        "excluded_regions": _regions,
        "residency": _residency,
        "services": _services,
        "resiliency_pair": _yes_or_no,
        "govcloud": _yes_or_no,
    },
    "weights": {
        "agents": _importance,
        "callers": _importance,
        "transfers": _importance,
        "hops": _importance,
    },
    "measure": {"probes_match": _site_rule},
}
