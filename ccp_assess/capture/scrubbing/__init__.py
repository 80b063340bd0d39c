"""Captures made fit to leave a client: what was said is removed, who it was is mapped, what was measured stays."""
