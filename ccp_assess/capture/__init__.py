"""The door to capture files and interfaces."""
