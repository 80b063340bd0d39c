"""Run the command line as ``python -m ccp_assess``."""

from ccp_assess.cli import main

main()
