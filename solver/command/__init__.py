"""The command line: `shardwise solve | check | evaluate | catalog | schema`.

Data goes to stdout, everything for people to stderr. Exit codes: 0 done; 1 bad input or I/O; 2 usage; 3 infeasible;
4 stopped before the proof; 70 the two routes to an answer differ (a bug); 130 stopped before the command had begun.
Heavy modules are imported inside the commands, so that `--help` and bad input answer at once.
"""

from __future__ import annotations

import os
import sys

__all__ = ["main"]


def main() -> None:
    """Run the command line; bad input ends without a traceback."""
    # Looking for pydantic plugins among everything installed takes longer than reading a scenario.
    os.environ.setdefault("PYDANTIC_DISABLE_PLUGINS", "__all__")
    try:
        from .app import app

        try:
            app()
        finally:
            sys.stdout.flush()  # here, where a full disk can still be told
    except KeyboardInterrupt:
        sys.exit(130)
    except BrokenPipeError:
        sys.stderr.close()
        sys.exit(1)
    except OSError as error:
        print(f"error: cannot read or write {error.filename or 'the output'}: {error.strerror}", file=sys.stderr)
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # what is left of the output must not fail once more
        sys.exit(1)
    except ValueError as error:
        from ...models.errors import InputError

        if not isinstance(error, InputError):
            raise
        print(error, file=sys.stderr)
        sys.exit(1)
