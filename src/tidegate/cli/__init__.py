"""The command line: one file a verb.

Exit codes: 0 done; 1 a bug in tidegate; 2 wrong usage; 3 bad input (a configuration, a table, an
argument); 4 a bundle that is damaged or cannot be run; 5 the store; 6 a check that failed; 130
after Ctrl-C.
"""

from tidegate.cli.app import app, main

__all__ = ["app", "main"]
