"""Verbs that join the rooms and compute nothing themselves."""
