"""Bytes to values: no file, no socket, no clock."""
