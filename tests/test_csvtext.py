"""Tables that people write are read, or refused in one sentence that names file, row and column."""

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ccp_assess import csvtext
from ccp_assess.csvtext import Row, read_rows
from ccp_assess.errors import TableError


def row(**cells):
    return Row(file="t.csv", line=7, cells=cells)


@pytest.mark.parametrize("separator", [",", ";", "\t"])
@pytest.mark.parametrize("line_end", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("mark", ["", "\ufeff"])
def test_every_dialect_gives_the_same_rows(tmp_path, separator, line_end, mark):
    path = tmp_path / "sites.csv"
    lines = [separator.join(("site_id", "place")), separator.join(("lis", '"Lisbon, PT"')), ""]
    path.write_bytes((mark + line_end.join(lines)).encode("utf-8"))
    assert [(r.line, r.cells) for r in read_rows(path)] == [(2, {"site_id": "lis", "place": "Lisbon, PT"})]


def test_utf_16_as_saved_by_spreadsheets_is_read(tmp_path):
    path = tmp_path / "t.txt"
    path.write_bytes("place\tagents\nMünchen\t3\n".encode("utf-16"))
    assert read_rows(path)[0].cells == {"place": "München", "agents": "3"}


def test_a_separator_declared_in_the_first_line_is_used():
    rows = read_rows("sep=;\na;b\n1,5;2,5\n", name="t.csv")
    assert (rows[0].line, rows[0].cells) == (3, {"a": "1,5", "b": "2,5"})


def test_quoted_line_breaks_comments_and_blank_lines_do_not_move_the_line_numbers():
    text = '# sites\n\nid,note\na,"two\n# lines"\n#b,off\n,,\nc,end\n'
    assert [(r.line, r.cells["id"], r.cells["note"]) for r in read_rows(text)] == [
        (4, "a", "two\n# lines"),
        (8, "c", "end"),
    ]


def test_columns_may_come_in_any_order_and_case_and_extra_ones_are_kept():
    rows = read_rows("Agents , Site-ID,My note\n3,x,hello\n", required=("site_id", "agents"))
    assert rows[0].cells == {"agents": "3", "site_id": "x", "my_note": "hello"}


def test_short_rows_are_filled_and_empty_extra_cells_ignored():
    assert read_rows("a,b\n1\n2,3,,\n")[0].cells == {"a": "1", "b": ""}


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", ("is empty", "site_id")),
        (b"\n\n# only comments\n", ("is empty",)),
        (b"site,agents\nx,1\n", ("row 1", "site_id", "must be added")),
        (b"site_id,site_id\n", ("twice",)),
        (b"site_id,lat\nx,48,14\n", ("row 2", "3 cells under 2 columns", "quotation marks")),
        (b'site_id\n"never closed\n', ("row 2", "not closed")),
        ("site_id\nx\nMünchen\n".encode("latin-1"), ("row 3", "0xfc", "CSV UTF-8")),
        (b"PK\x03\x04rest", ("workbook",)),
        (b"site_id\nx\x00y\n", ("row 2", "binary")),
        (b"x" * 100_000 + b"\n", ("row 1", "must be added", "xxx...")),
        (b"x," * 100 + b"x\n", ("row 1", "twice")),
        (b"site_id," + b",".join([b"y" * 5_000] * 2) + b"\n", ("row 1", "yyy...", "twice")),
        (",".join(f"c{number}" for number in range(5_000)).encode() + b"\n", ("c19, ...",)),
    ],
)
def test_a_broken_table_is_refused_in_one_sentence(tmp_path, content, words):
    path = tmp_path / "sites.csv"
    path.write_bytes(content)
    with pytest.raises(TableError) as caught:
        read_rows(path, required=("site_id",))
    message = str(caught.value)
    assert message.startswith("sites.csv")
    assert len(message) < 500
    assert "\n" not in message
    for word in words:
        assert word in message


def test_a_missing_file_and_a_folder_are_refused(tmp_path):
    with pytest.raises(TableError, match=r"nope\.csv: the file does not exist"):
        read_rows(tmp_path / "nope.csv")
    with pytest.raises(TableError, match="cannot be opened"):
        read_rows(tmp_path, name="folder")


@pytest.mark.parametrize(
    ("cell", "value"),
    [
        ("48.14", 48.14),
        ("48,14", 48.14),
        ("-8,61", -8.61),
        ("\u22128.61", -8.61),
        ("1.234,5", 1234.5),
        ("1,234.5", 1234.5),
        ("1 234", 1234.0),
        ("1\u202f234,5", 1234.5),
        ("1'234.5", 1234.5),
        ("1e3", 1000.0),
        (".5", 0.5),
        ("+3", 3.0),
    ],
)
def test_numbers_are_read_as_people_write_them(cell, value):
    assert csvtext.number(row(x=cell), "x") == value


@pytest.mark.parametrize("cell", ["nan", "inf", "1_000", "٣", "12 km", "1,2,3", "1.2.3", "--1", "0x10", "1e999"])
def test_what_is_no_number_is_refused(cell):
    with pytest.raises(TableError, match=r"t\.csv, row 7, column x: .* is not a number"):
        csvtext.number(row(x=cell), "x")


def test_empty_and_absent_cells_are_none_never_zero():
    assert csvtext.optional_number(row(x=""), "x") is None
    assert csvtext.optional_number(row(), "x") is None
    assert csvtext.optional_integer(row(x=""), "x") is None
    assert csvtext.optional_text(row(x=""), "x") is None
    with pytest.raises(TableError, match="column x: the cell is empty"):
        csvtext.number(row(x=""), "x")
    with pytest.raises(TableError, match="column x: the cell is empty"):
        csvtext.integer(row(), "x")


def test_limits_are_named_in_the_message():
    with pytest.raises(TableError, match="too large; the largest value is 90"):
        csvtext.number(row(latitude="91"), "latitude", low=-90, high=90)
    with pytest.raises(TableError, match="too small; the smallest value is 0"):
        csvtext.integer(row(agents="-1"), "agents", low=0)


def test_whole_numbers_refuse_fractions_and_two_ways_of_reading():
    assert csvtext.integer(row(x="12,0"), "x") == 12
    with pytest.raises(TableError, match="not a whole number"):
        csvtext.integer(row(x="1.5"), "x")
    for cell in ("1,234", "1.234"):
        with pytest.raises(TableError, match="read in two ways"):
            csvtext.integer(row(x=cell), "x")


def test_a_percent_sign_is_allowed_where_the_column_is_in_percent():
    assert csvtext.number(row(call_share_pct="12,5 %"), "call_share_pct") == 12.5
    with pytest.raises(TableError, match="not a number"):
        csvtext.number(row(agents="5%"), "agents")


def test_flags_and_choices():
    assert csvtext.flag(row(x="Yes"), "x") is True
    assert csvtext.flag(row(x=""), "x", default=True) is True
    with pytest.raises(TableError, match="neither true nor false"):
        csvtext.flag(row(x="perhaps"), "x")
    choices = ("office", "direct_connect")
    assert csvtext.choice(row(x="Direct Connect"), "x", choices) == "direct_connect"
    assert csvtext.choice(row(x=""), "x", choices, default="office") == "office"
    with pytest.raises(TableError, match=r"'ship' is not one of office, direct_connect"):
        csvtext.choice(row(x="ship"), "x", choices)


@given(st.text(max_size=200))
def test_no_text_raises_anything_but_a_table_error(text):
    with suppress(TableError):
        for item in read_rows(text, name="t.csv"):
            for column in item.cells:
                with suppress(TableError):
                    csvtext.optional_number(item, column)
                with suppress(TableError):
                    csvtext.optional_integer(item, column)


@given(st.floats(allow_nan=False, allow_infinity=False, width=32))
def test_numbers_survive_point_and_comma(value):
    assert csvtext.parse_number(repr(value)) == value
    assert csvtext.parse_number(repr(value).replace(".", ",")) == value
