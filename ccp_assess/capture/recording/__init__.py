"""Recording test calls on the workstation: which interface, which packets, which program, and what is kept."""
