"""People and storage: discovery, the command line, the live view. May stop at any time."""
