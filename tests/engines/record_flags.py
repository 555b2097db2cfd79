"""Print what an installed engine's command line takes, as `models/catalog/commands/*.yaml` records it.

    /path/to/engines/bin/python tests/engines/record_flags.py vllm

Copy the two lists into the YAML when the engine's version changes, with the version.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import sys
import textwrap

WIDTH = 116


def parser(engine: str) -> argparse.ArgumentParser:
    """The engine's own parser."""
    if engine == "vllm":
        import vllm_gpu

        vllm_gpu.install()
        from vllm.entrypoints.common.cli_args import make_arg_parser
        from vllm.utils.argparse_utils import FlexibleArgumentParser

        return make_arg_parser(FlexibleArgumentParser(prog="vllm serve"))
    import sglang_gpu

    sglang_gpu.install()
    from sglang.srt.server_args import ServerArgs

    made = argparse.ArgumentParser(prog="sglang serve")
    ServerArgs.add_cli_args(made)
    return made


def flags(made: argparse.ArgumentParser) -> dict[str, list[str]]:
    """Flags that take a value, and those that take none."""
    found: dict[str, set[str]] = {"takes": set(), "switches": set()}
    for action in made._actions:
        if not isinstance(action, argparse._HelpAction):
            found["switches" if action.nargs == 0 else "takes"].update(action.option_strings)
    return {name: sorted(words) for name, words in found.items()}


def as_yaml(found: dict[str, list[str]]) -> str:
    """Two lists in flow style."""
    lines = []
    for name, words in found.items():
        body = textwrap.wrap(", ".join(words) + ",", WIDTH, break_on_hyphens=False, break_long_words=False)
        lines += [f"{name}: [", *(f"  {line}" for line in body), "]"]
    return "\n".join(lines)


if __name__ == "__main__":
    asked = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    asked.add_argument("engine", choices=["vllm", "sglang"])
    asked.add_argument("--json", action="store_true", help="for programs")
    said = asked.parse_args()
    out = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # engines print on import
    with contextlib.redirect_stdout(sys.stderr):
        made = flags(parser(said.engine))
    print(json.dumps(made) if said.json else as_yaml(made), file=out)
