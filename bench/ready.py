"""From exec to the first 200 on /readyz, with a new data directory and with one that has been used."""

from __future__ import annotations

from collections.abc import Callable

from bench import rows, servers
from bench.results import Section
from bench.rows import Bed, PointsmanFiles

STARTS = 5


def run(bed: Bed, section: Section, say: Callable[[str], None], *, starts: int = STARTS) -> None:
    """Starts Pointsman `starts` times cold and as often warm."""
    files = rows.write_config(bed, "ready")
    for number in range(1, starts + 1):
        fresh = PointsmanFiles(files.config, bed.folder / f"ready-data-{number}")
        for metric in ("cold_s", "warm_s"):
            seconds = start_once(bed, fresh)
            section.add("pointsman", **{metric: seconds})
            say(f"ready  start {number}/{starts}  {metric} {seconds:.2f}")


def start_once(bed: Bed, files: PointsmanFiles, *, limit: float = 60) -> float:
    """Seconds from exec to ready; the server is stopped again."""
    log, port = bed.folder / "ready.log", servers.free_port()
    command = rows.serve_command(files, port)
    with servers.running(command, log, rows.serve_environment(), cwd=bed.folder) as process:
        return servers.wait_ready(process, port, log, path="/readyz", limit=limit)
