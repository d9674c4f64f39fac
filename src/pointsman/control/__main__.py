"""`python -m pointsman.control`: started and supervised by `pointsman serve`."""

from __future__ import annotations

import argparse
import logging
import os
import sys
from pathlib import Path

from pointsman.control.compiling import registry_compiler
from pointsman.control.process import Options, run


def _options(arguments: list[str]) -> Options:
    parser = argparse.ArgumentParser(prog="python -m pointsman.control", description="The control process of Pointsman")
    parser.add_argument("--config", type=Path)
    parser.add_argument("--data-dir", type=Path, required=True)
    parser.add_argument("--admin-host", default="127.0.0.1")
    parser.add_argument("--admin-port", type=int, default=8081)
    parser.add_argument("--watch", action=argparse.BooleanOptionalAction, default=True)
    parser.add_argument("--parent-fd", type=int)
    said = parser.parse_args(arguments)
    return Options(said.data_dir, said.config, said.admin_host, said.admin_port, said.watch, said.parent_fd)


def main() -> int:
    """Run the control process. Returns its exit code."""
    logging.basicConfig(stream=sys.stderr, level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    for chatty in ("alembic", "uvicorn"):
        logging.getLogger(chatty).setLevel(logging.WARNING)
    return run(_options(sys.argv[1:]), os.environ, registry_compiler)


if __name__ == "__main__":
    sys.exit(main())
