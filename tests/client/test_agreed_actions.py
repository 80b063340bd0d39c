"""Who mends what by when, as agreed with the client."""

from datetime import date

import pytest

from ccp_assess.client.actions import agreed_for, read_actions
from ccp_assess.errors import TableError


def test_a_folder_without_the_file_has_no_agreements(tmp_path):
    assert read_actions(tmp_path) == ()


def test_rows_are_read_with_empty_cells_unknown(tmp_path):
    (tmp_path / "actions.csv").write_text(
        "code;site_id;owner;due\nloss_inbound;LIS;Ana;2026-12-24\nLOSS_INBOUND;;Network;\n", encoding="utf-8"
    )
    here, everywhere = read_actions(tmp_path)
    assert (here.code, here.site_id, here.owner, here.due) == ("LOSS_INBOUND", "LIS", "Ana", date(2026, 12, 24))
    assert (everywhere.site_id, everywhere.due) == (None, None)


def test_an_agreement_for_the_site_counts_before_one_for_all(tmp_path):
    (tmp_path / "actions.csv").write_text("code,site_id,owner\nLATE,,All\nLATE,LIS,Ana\n", encoding="utf-8")
    actions = read_actions(tmp_path)
    assert agreed_for(actions, "LATE", "LIS").owner == "Ana"
    assert agreed_for(actions, "LATE", "DEN").owner == "All"
    assert agreed_for(actions, "OTHER", "LIS") is None


def test_a_day_that_is_none_is_refused_with_its_row(tmp_path):
    (tmp_path / "actions.csv").write_text("code,due\nLATE,Friday\n", encoding="utf-8")
    with pytest.raises(TableError, match=r"actions\.csv.*'Friday' is no day"):
        read_actions(tmp_path)
