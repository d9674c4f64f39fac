"""CPU time and memory of processes, read from /proc.

CPU time comes from `schedstat` (nanoseconds, summed over threads). Where a thread ended between two samples its
time would be lost, so `stat` (all threads that ever ran, ticks of 10 ms) is used for that process instead.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

_TICK_NS = 1_000_000_000 // os.sysconf("SC_CLK_TCK")
PROC = Path("/proc")


@dataclass(frozen=True, slots=True)
class ProcessCpu:
    """CPU time of one process so far: per thread and in total, in nanoseconds."""

    threads: dict[int, int]
    total_ns: int


@dataclass(frozen=True, slots=True)
class CpuSample:
    """CPU time of a set of processes at one moment."""

    processes: dict[int, ProcessCpu]

    def since(self, earlier: CpuSample) -> int:
        """Nanoseconds of CPU used since `earlier`. Processes that ended in between count as far as was seen."""
        return sum(_used(now, earlier.processes.get(pid)) for pid, now in self.processes.items())


def _used(now: ProcessCpu, before: ProcessCpu | None) -> int:
    if before is None:
        return max(sum(now.threads.values()), now.total_ns)
    if now.threads and before.threads.keys() <= now.threads.keys():
        return sum(ns - before.threads.get(tid, 0) for tid, ns in now.threads.items())
    return now.total_ns - before.total_ns


def cpu_sample(pids: Iterable[int]) -> CpuSample:
    """The CPU time used so far by each of `pids`; those that do not exist are left out."""
    found = ((pid, _process_cpu(pid)) for pid in pids)
    return CpuSample({pid: cpu for pid, cpu in found if cpu is not None})


def _process_cpu(pid: int) -> ProcessCpu | None:
    try:
        fields = (PROC / str(pid) / "stat").read_text().rpartition(")")[2].split()
        return ProcessCpu(_thread_times(pid), (int(fields[11]) + int(fields[12])) * _TICK_NS)
    except (FileNotFoundError, ProcessLookupError):
        return None


def _thread_times(pid: int) -> dict[int, int]:
    times: dict[int, int] = {}
    for task in (PROC / str(pid) / "task").iterdir():
        try:
            times[int(task.name)] = int((task / "schedstat").read_text().split()[0])
        except (FileNotFoundError, ProcessLookupError):
            continue  # the thread ended while we looked, or this kernel keeps no schedstat
    return times


@dataclass(frozen=True, slots=True)
class Moment:
    """CPU time of the whole machine and of this run (its processes, and the children they have buried)."""

    at: float
    machine_s: float
    ours_s: float

    def others_since(self, earlier: Moment) -> float:
        """Share of the machine, 0 to 1, that everybody else used since `earlier`."""
        used = (self.machine_s - earlier.machine_s) - (self.ours_s - earlier.ours_s)
        return max(0.0, used / (self.at - earlier.at) / (os.cpu_count() or 1))


def moment() -> Moment:
    """Where the machine's CPU time stands now; called before and after a run."""
    user, nice, system, _, _, irq, softirq, steal = (
        int(field) for field in (PROC / "stat").read_text().split(maxsplit=9)[1:9]
    )
    busy = user + nice + system + irq + softirq + steal
    ours = sum(_with_children_ticks(pid) for pid in process_tree(os.getpid()))
    hertz = os.sysconf("SC_CLK_TCK")
    return Moment(time.monotonic(), busy / hertz, ours / hertz)


def _with_children_ticks(pid: int) -> int:
    try:
        fields = (PROC / str(pid) / "stat").read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return 0
    return sum(int(field) for field in fields[11:15])


def command_line(pid: int) -> str:
    """The arguments of a process, joined by spaces; empty when it is gone."""
    try:
        return (PROC / str(pid) / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace").strip()
    except (FileNotFoundError, ProcessLookupError):
        return ""


def process_tree(root: int) -> list[int]:
    """`root` and everything it started that still runs, parents first."""
    tree = [root]
    for pid in tree:
        tree.extend(_children(pid))
    return tree


def _children(pid: int) -> list[int]:
    children: list[int] = []
    try:
        for task in (PROC / str(pid) / "task").iterdir():
            children.extend(int(child) for child in (task / "children").read_text().split())
    except (FileNotFoundError, ProcessLookupError):
        return children
    return children


def rss_mb(pids: Iterable[int]) -> float:
    """Resident memory of the processes together, in MB (10⁶ bytes); shared pages count once per process."""
    return sum(_rss_bytes(pid) for pid in pids) / 1e6


def _rss_bytes(pid: int) -> int:
    try:
        for line in (PROC / str(pid) / "status").read_text().splitlines():
            if line.startswith("VmRSS:"):
                return int(line.split()[1]) * 1024
    except (FileNotFoundError, ProcessLookupError):
        return 0
    return 0


def wait_until_idle(pids: list[int], *, share: float = 0.03, calm: float = 0.6, limit: float = 120) -> bool:
    """Waits until the processes together use less than `share` of one core for `calm` seconds.

    Returns whether they came to rest within `limit` seconds.
    """
    deadline = time.monotonic() + limit
    while time.monotonic() < deadline:
        before, began = cpu_sample(pids), time.monotonic_ns()
        time.sleep(calm)
        if cpu_sample(pids).since(before) < share * (time.monotonic_ns() - began):
            return True
    return False
