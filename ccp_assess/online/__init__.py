"""The door to published facts on the Internet, opened only when asked."""
