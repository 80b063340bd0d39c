"""Facts that the code reads; every file has its source and date (see README.md beside this file)."""
