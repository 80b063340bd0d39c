"""From an assessment to what the page shows: rows and sentences, no layout and no new numbers."""

from __future__ import annotations

from ccp_assess.report.content.calls import MOST_CALL_ROWS, call_notes, call_rows, joined_rows, worst_series
from ccp_assess.report.content.findings import evidence_words, finding_rows, front_findings
from ccp_assess.report.content.firewall import audit_parts, common_from, rule_rows, rule_sources
from ccp_assess.report.content.measurements import computer_rows, diagnosis_rows, measurement_rows, paths_to_draw
from ccp_assess.report.content.options import excluded_rows, key_figures, option_rows
from ccp_assess.report.content.sites import budget_rows, caller_rows, leg_matrix, site_rows, transfer_rows
from ccp_assess.report.content.sources import input_files, open_facts, reference_rows, valid_until, versions

__all__ = [
    "MOST_CALL_ROWS", "audit_parts", "budget_rows", "call_notes", "call_rows", "caller_rows", "common_from",
    "computer_rows",
    "diagnosis_rows", "evidence_words", "excluded_rows", "finding_rows", "front_findings", "input_files",
    "joined_rows", "key_figures", "leg_matrix", "measurement_rows", "open_facts", "option_rows", "paths_to_draw",
    "reference_rows", "rule_rows", "rule_sources", "site_rows", "transfer_rows", "valid_until",
    "versions", "worst_series",
]  # fmt: skip
