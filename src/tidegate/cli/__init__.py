"""The command line: one file a verb.

Exit codes: 0 done; 1 a bug in tidegate; 2 wrong usage; 3 bad input (a configuration, a table, an
argument); 4 a bundle that is damaged or cannot be run; 5 the store; 6 a check that failed; 130
after Ctrl-C.
"""

from __future__ import annotations

import sys

__all__ = ["main"]


def main() -> None:
    """Run the command line; the process ends with a documented exit code."""
    if sys.argv[1:2] == ["serve"]:
        from tidegate.cli import quick

        words = quick.parse(sys.argv[2:])
        if words is not None:
            quick.run(words)
    from tidegate.cli.app import app

    app()
