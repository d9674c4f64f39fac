"""How the system is doing, with everything a person should look at in words."""

from __future__ import annotations

from pointsman.control.config_file import ConfigState
from pointsman.control.workers import WorkerView
from pointsman.telemetry.ingest import IngestStatus

BEHIND_SECONDS = 10.0


def problems(
    number: int, found: list[WorkerView], ingest: IngestStatus, config: ConfigState | None, publishing: str
) -> list[str]:
    """What is amiss, most urgent first; empty when all is well. `number` is the newest revision, 0 for none."""
    said = []
    if publishing:
        said.append(publishing)
    if not number:
        said.append("there is no registry yet: `pointsman apply FILE`")
    live = [worker for worker in found if worker.live]
    if not live:
        said.append("no gateway worker is running")
    for worker in live:
        if worker.problem:
            said.append(f"worker {worker.worker} serves revision {worker.revision}: {worker.problem}")
        elif worker.revision < number:
            said.append(f"worker {worker.worker} serves revision {worker.revision}, not {number}")
    if config is not None and config.problem:
        said.append(f"{config.path}: {config.problem}")
        said += [str(problem) for problem in config.problems]
    if ingest.problem:
        said.append(f"call records wait in the spool: {ingest.problem}")
    elif ingest.behind_seconds > BEHIND_SECONDS:
        said.append(f"ingest is {ingest.behind_seconds:.0f} s behind ({ingest.behind_bytes} bytes)")
    if ingest.bad:
        said.append(f"{ingest.bad} frames of the spool could not be read or stored; they are kept in spool/bad")
    return said
