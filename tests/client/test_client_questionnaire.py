"""The questionnaire: it opens, it asks what the tables ask, and what the client fills in is read as CSV is."""

import warnings
import zipfile
from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from typing import Any

import openpyxl
import pytest

from ccp_assess.client import new_client, read_client
from ccp_assess.client.questionnaire import LONGEST_PROMPT, LONGEST_TITLE, questionnaire_bytes
from ccp_assess.client.workbook import SETTINGS, read_workbook
from ccp_assess.errors import TableError
from ccp_assess.tables import LAYOUTS

Edit = Callable[[Any], object]


@pytest.fixture
def laid_out(tmp_path: Path) -> Path:
    folder = tmp_path / "client"
    new_client(folder)
    return folder


def fill(folder: Path, edit: Edit) -> Path:
    """Fill in the questionnaire as a person would in a spreadsheet."""
    path = folder / "questionnaire.xlsx"
    workbook = openpyxl.load_workbook(path)
    edit(workbook)
    workbook.save(path)
    return folder


def two_sites(workbook: Any) -> None:
    sheet = workbook["sites"]
    for row, cells in ((6, ("LIS", "Lisbon, PT", 120, "office")), (9, ("BER", "Berlin, DE", "40", "vdi"))):
        sheet.cell(row, 1, cells[0])
        sheet.cell(row, 3, cells[1])
        sheet.cell(row, 6, cells[2])
        sheet.cell(row, 7, cells[3])


def problem(folder: Path) -> TableError:
    with pytest.raises(TableError) as caught:
        read_client(folder)
    return caught.value


def test_it_opens_without_a_warning_and_has_a_sheet_for_each_table(laid_out: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        workbook = openpyxl.load_workbook(laid_out / "questionnaire.xlsx")
    assert workbook.sheetnames == ["Read me", "client", *LAYOUTS]
    for name, layout in LAYOUTS.items():
        assert [cell.value for cell in workbook[name][3]] == list(layout.columns)


def test_its_cells_offer_choices_limits_and_help_within_the_limits_of_the_format(laid_out: Path) -> None:
    workbook = openpyxl.load_workbook(laid_out / "questionnaire.xlsx")
    rules = {
        (sheet.title, str(rule.sqref).split(":")[0]): rule
        for sheet in workbook.worksheets
        for rule in sheet.data_validations.dataValidation
    }
    assert rules["sites", "G4"].formula1 == '"office,home,vpn,vdi,direct_connect"'
    assert (rules["callers", "F4"].formula1, rules["callers", "F4"].formula2) == ("0", "100")
    assert rules["reroutes", "A4"].formula1.startswith("sites!")
    for rule in rules.values():
        assert 0 < len(rule.prompt) <= LONGEST_PROMPT
        assert len(rule.promptTitle) <= LONGEST_TITLE
        assert len(rule.formula1 or "") <= 255


def test_it_holds_no_macro_and_no_link(laid_out: Path) -> None:
    with zipfile.ZipFile(laid_out / "questionnaire.xlsx") as archive:
        names = archive.namelist()
    assert not [name for name in names if "vba" in name.lower() or "externalLink" in name]


def test_an_empty_one_says_that_the_sites_are_needed(laid_out: Path) -> None:
    assert "no rows yet" in str(problem(laid_out))


def test_a_filled_in_one_reads_as_csv_does(laid_out: Path, folder: Path) -> None:
    from_csv = read_client(folder)
    from_sheet = read_client(fill(laid_out, two_sites))
    assert [(s.site_id, s.latitude, s.agents) for s in from_sheet.sites] == [
        (s.site_id, s.latitude, s.agents) for s in from_csv.sites
    ]
    assert from_sheet.sites[1].access == "vdi"


def test_every_example_is_right_once_it_counts(laid_out: Path) -> None:
    def uncomment(workbook: Any) -> None:
        for name, layout in LAYOUTS.items():
            for row in range(4, 4 + len(layout.examples)):
                cell = workbook[name].cell(row, 1)
                cell.value = cell.value.removeprefix("# ")

    client = read_client(fill(laid_out, uncomment))
    assert [len(client.to_frame(name)) for name in LAYOUTS] == [len(layout.examples) for layout in LAYOUTS.values()]


def test_the_clients_own_settings_are_read_and_those_of_the_file_come_first(laid_out: Path) -> None:
    def answer(workbook: Any) -> None:
        two_sites(workbook)
        answers = {
            "name": "Acme",
            "date": "2026-11-20",
            "allowed_regions": "eu-west-2, eu-central-1",
            "resiliency_pair": "true",
            "services": "Contact Lens; voice",
            "weight_hops": 0.5,
        }
        for row, key in enumerate(SETTINGS, start=2):
            workbook["client"].cell(row, 2).value = answers.get(key)

    client = read_client(fill(laid_out, answer))
    assert (client.name, client.date) == ("Acme", "2026-11-20")
    assert client.constraints.allowed_regions == ("eu-west-2", "eu-central-1")
    assert client.constraints.resiliency_pair
    assert client.constraints.services == ("contact_lens", "voice")
    assert client.weights.hops == 0.5
    (laid_out / "client.toml").write_text('[client]\nname = "Acme Ltd"\n[weights]\nhops = 0.5\n', encoding="utf-8")
    client = read_client(laid_out)
    assert client.name == "Acme Ltd"
    assert [note for note in client.notes if "differ" in note] == [
        "client.toml and the sheet client of questionnaire.xlsx differ in client.name; client.toml was used."
    ]


def test_a_wrong_setting_names_the_sheet_it_stands_in(laid_out: Path) -> None:
    def answer(workbook: Any) -> None:
        two_sites(workbook)
        workbook["client"]["B4"] = "eu-west-9"

    error = problem(fill(laid_out, answer))
    assert error.file == "questionnaire.xlsx, sheet client"
    assert "known Regions are" in str(error)


def test_csv_wins_over_the_sheet_and_a_difference_is_said(laid_out: Path) -> None:
    fill(laid_out, two_sites)
    (laid_out / "sites.csv").write_text('site_id,place,agents\nPOR,"Porto, PT",3\n', encoding="utf-8")
    client = read_client(laid_out)
    assert [site.site_id for site in client.sites] == ["POR"]
    assert any("sites.csv (1 rows) and the sheet sites" in note for note in client.unknowns)


@pytest.mark.parametrize(
    ("edit", "row", "words"),
    [
        (lambda book: book["sites"].merge_cells("F6:F9"), 6, ["F6:F9", "unmerge"]),
        (lambda book: book["sites"].__setitem__("F6", "=10+20"), 6, ["formula without a stored result"]),
        (lambda book: book["sites"].__setitem__("F6", "#REF!"), 6, ["error #REF!"]),
        (lambda book: book["sites"].__setitem__("F6", 2.5), 6, ["whole number"]),
        (lambda book: book["sites"].__setitem__("F6", -2), 6, ["negative"]),
        (lambda book: book["sites"].__setitem__("A9", "LIS"), 9, ["row 6"]),
        (lambda book: book["sites"].__setitem__("F3", "latitude"), 3, ["twice"]),
        (lambda book: book["sites"].__setitem__("F3", "head count"), None, ["agents", "missing"]),
    ],
)
def test_a_cell_that_cannot_be_used_names_sheet_row_and_column(
    laid_out: Path, edit: Edit, row: int | None, words: list[str]
) -> None:
    def spoil(workbook: Any) -> None:
        two_sites(workbook)
        edit(workbook)

    error = problem(fill(laid_out, spoil))
    assert error.file == "questionnaire.xlsx, sheet sites"
    assert error.row == row
    for word in words:
        assert word in str(error)


def test_words_merged_over_rows_count_for_each_of_them(laid_out: Path) -> None:
    def merge(workbook: Any) -> None:
        two_sites(workbook)
        workbook["sites"]["G6"] = "vpn"
        workbook["sites"]["G9"] = None
        workbook["sites"].merge_cells("G6:G9")

    assert [site.access for site in read_client(fill(laid_out, merge)).sites] == ["vpn", "vpn"]


def test_a_percent_format_is_undone(laid_out: Path) -> None:
    def shares(workbook: Any) -> None:
        two_sites(workbook)
        for row, (origin, country, share) in enumerate((("A", "DE", 0.6), ("B", "FR", 0.4)), start=6):
            sheet = workbook["callers"]
            sheet.cell(row, 1, origin)
            sheet.cell(row, 3, country)
            sheet.cell(row, 6, share).number_format = "0%"

    callers = read_client(fill(laid_out, shares)).callers
    assert [caller.call_share_pct for caller in callers] == [60.0, 40.0]


def test_a_workbook_of_the_clients_own_making_is_understood(tmp_path: Path, folder: Path) -> None:
    workbook = openpyxl.Workbook()
    sheet = workbook.worksheets[0]
    sheet.title = "Standorte 2026"
    sheet["B2"] = "Our sites"
    for column, name in enumerate(("Agents", "Site ID", "Place", "our own"), start=2):
        sheet.cell(5, column, name)
    for column, value in enumerate((12.0, 7, "Lisbon, PT", "x"), start=2):
        sheet.cell(8, column, value)
    (folder / "sites.csv").unlink()
    workbook.save(folder / "from the client.xlsx")
    client = read_client(folder)
    assert [(site.site_id, site.agents) for site in client.sites] == [("7", 12)]
    assert client.extras["sites"] == ({"our_own": "x"},)


def test_two_workbooks_are_one_too_many(laid_out: Path) -> None:
    data = (laid_out / "questionnaire.xlsx").read_bytes()
    (laid_out / "copy.xlsx").write_bytes(data)
    (laid_out / "~$copy.xlsx").write_bytes(b"lock")
    fill(laid_out, two_sites)
    assert len(read_client(laid_out).sites) == 2
    (laid_out / "questionnaire.xlsx").rename(laid_out / "other.xlsx")
    assert "copy.xlsx, other.xlsx" in str(problem(laid_out))


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "damaged"),
        (b"not a workbook", "damaged"),
        (b"PK\x03\x04 not a zip", "damaged"),
        (b"\xd0\xcf\x11\xe0old", "password"),
    ],
)
def test_a_broken_workbook_ends_in_one_sentence(tmp_path: Path, data: bytes, words: str) -> None:
    path = tmp_path / "questionnaire.xlsx"
    path.write_bytes(data)
    with pytest.raises(TableError, match=words):
        read_workbook(path)


def told_by(path: Path) -> str | None:
    """Return the sentence of the error, if the workbook is refused."""
    try:
        read_workbook(path)
    except TableError as error:
        return str(error)
    return None


def test_a_workbook_cut_short_or_flipped_anywhere_is_read_or_refused(tmp_path: Path) -> None:
    whole = questionnaire_bytes()
    path = tmp_path / "questionnaire.xlsx"
    for step in range(1, 24):
        cut = len(whole) * step // 24
        for data in (whole[:cut], whole[:cut] + bytes([whole[cut] ^ 0xFF]) + whole[cut + 1 :]):
            path.write_bytes(data)
            assert (told_by(path) or path.name).startswith("questionnaire.xlsx")


def test_a_workbook_that_unpacks_to_hundreds_of_megabytes_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "questionnaire.xlsx"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive, archive.open("xl/workbook.xml", "w") as entry:
        for _ in range(210):
            entry.write(bytes(1_000_000))
    with pytest.raises(TableError, match="unpacks to 210 MB"):
        read_workbook(path)


def test_a_stray_cell_far_below_and_far_right_costs_nothing(laid_out: Path) -> None:
    def stray(workbook: Any) -> None:
        two_sites(workbook)
        workbook["sites"]["A1048576"] = "x"
        workbook["sites"]["XFD6"] = "x"

    assert len(read_client(fill(laid_out, stray)).sites) == 2


def test_a_workbook_of_nested_entities_is_refused_and_not_unfolded(tmp_path: Path) -> None:
    entities = "".join(f'<!ENTITY e{depth} "{f"&e{depth - 1};" * 10}">' for depth in range(1, 12))
    bomb = f'<?xml version="1.0"?><!DOCTYPE w [<!ENTITY e0 "lol">{entities}]><workbook>&e11;</workbook>'
    path = tmp_path / "questionnaire.xlsx"
    with zipfile.ZipFile(path, "w") as archive, zipfile.ZipFile(BytesIO(questionnaire_bytes())) as whole:
        for entry in whole.namelist():
            archive.writestr(entry, bomb if entry == "xl/workbook.xml" else whole.read(entry))
    assert "damaged" in str(told_by(path))


def test_hidden_rows_and_sheets_count_and_are_named(laid_out: Path) -> None:
    def edit(workbook: Any) -> None:
        two_sites(workbook)
        workbook["sites"].row_dimensions[9].hidden = True
        workbook["transfers"].sheet_state = "hidden"
        for column, value in enumerate(("T1", "Oslo, NO"), 1):
            workbook["transfers"].cell(5, column, value)
        names = [cell.value for cell in workbook["transfers"][3]]
        workbook["transfers"].cell(5, names.index("share_of_calls_pct") + 1, 5)

    client = read_client(fill(laid_out, edit))
    assert [site.site_id for site in client.sites] == ["LIS", "BER"]
    assert [note for note in client.notes if "hidden" in note] == [
        "questionnaire.xlsx, sheet sites: hidden or filtered rows (9) count all the same; remove what should not.",
        "questionnaire.xlsx, sheet transfers is hidden in the workbook; it counts all the same.",
    ]
