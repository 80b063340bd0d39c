"""Columns to flows, streams and calls; all pure."""
