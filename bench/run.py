"""`make bench`: starts the contenders on 127.0.0.1, measures them in turn, prints tables, writes RESULTS.md."""

from __future__ import annotations

import argparse
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path
from types import FrameType

from bench import load, measure, peers, ready, report, results, rounds, rows, scale, servers, soak, tools
from bench.results import Results, Section
from bench.rows import Bed, Row

RESULTS = tools.HERE / "RESULTS.md"
Say = Callable[[str], None]
Part = Callable[[Bed, argparse.Namespace, Results, Say], Section]
_EXPECTED = (load.LoadFailedError, servers.ServerFailedError, tools.MissingToolError)


def arguments(argv: Sequence[str]) -> argparse.Namespace:
    """The command line; `make bench ARGS=…` and PEERS=1 end up here."""
    parser = argparse.ArgumentParser(prog="make bench", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="unary and stream CPU only, two rounds, no files written")
    parser.add_argument("--only", default="", help="rows to run, by name: nginx,envoy,pointsman,litellm,…")
    parser.add_argument("--soak", action="store_true", help="instead: a million mixed requests, memory every 50,000")
    parser.add_argument("--scale", action="store_true", help="instead: a registry of 10,000 targets and 100,000 keys")
    parser.add_argument("--all", action="store_true", help="the main run, then --scale and --soak")
    parser.add_argument("--peers", action="store_true", default=os.environ.get("PEERS", "") not in ("", "0"))
    parser.add_argument("--rounds", type=int, help="interleaved rounds; figures are their medians")
    parser.add_argument("--seconds", type=float, help="length of one measurement")
    parser.add_argument("--requests", type=int, default=soak.TOTAL, help="requests of the soak")
    parser.add_argument("--write", action=argparse.BooleanOptionalAction, help="write bench/RESULTS.md or leave it")
    return parser.parse_args(argv)


def plan_of(options: argparse.Namespace) -> rounds.Plan:
    """Rounds and seconds as asked, or what suits the mode."""
    usual = rounds.Plan(rounds=2, seconds=4, quick=True) if options.quick else rounds.Plan()
    return rounds.Plan(options.rounds or usual.rounds, options.seconds or usual.seconds, quick=usual.quick)


def names_of(options: argparse.Namespace) -> list[str]:
    """The rows to run. Raises SystemExit for a name nobody has."""
    known = [*rows.CONTENDERS, *peers.CONTENDERS]
    chosen = [name.strip() for name in options.only.split(",") if name.strip()]
    for name in chosen:
        if name not in known:
            raise SystemExit(f"no row is called {name!r}; there are {', '.join(known)}")
    return chosen or (known if options.peers else list(rows.CONTENDERS))


def start_rows(bed: Bed, names: Sequence[str], section: Section, say: Say) -> list[Row]:
    """Starts the contenders; one that cannot run is left out with a note that says why."""
    started = [rows.direct(bed)]
    for name in names:
        begin = {**rows.CONTENDERS, **peers.CONTENDERS}[name]
        try:
            started.append(begin(bed))
            say(f"started {name}")
        except _EXPECTED as error:
            section.fault(f"{name} did not run", error)
            say(f"SKIPPED {name}: {error}")
    return started


def main_run(bed: Bed, options: argparse.Namespace, kept: Results, say: Say) -> Section:
    """All rows, interleaved; then how fast Pointsman is ready."""
    section = kept.sections["main"] = results.new_section(options.command)
    started = start_rows(bed, names_of(options), section, say)
    rounds.run(bed, started, plan_of(options), section, say)
    if not options.quick and any(row.name == "pointsman" for row in started):
        timing = kept.sections["ready"] = results.new_section(options.command)
        ready.run(bed, timing, say)
    return section


def soak_run(bed: Bed, options: argparse.Namespace, kept: Results, say: Say) -> Section:
    """A million mixed requests through one fresh Pointsman."""
    section = kept.sections["soak"] = results.new_section(options.command)
    soak.run(bed, rows.pointsman(bed, name="pointsman"), section, say, total=options.requests)
    return section


def scale_run(bed: Bed, options: argparse.Namespace, kept: Results, say: Say) -> Section:
    """A large registry beside a small one."""
    section = kept.sections["scale"] = results.new_section(options.command)
    scale.run(bed, section, say, plan_of(options))
    return section


def parts_of(options: argparse.Namespace) -> list[Part]:
    """What to run, each on a bed of its own."""
    chosen: list[Part] = []
    if options.all or not (options.soak or options.scale):
        chosen.append(main_run)
    if options.all or options.scale:
        chosen.append(scale_run)
    if options.all or options.soak:
        chosen.append(soak_run)
    return chosen


def versions(found: tools.Tools) -> dict[str, str]:
    """Versions of the programs measured against."""

    def first_line(*command: str) -> str:
        env = {**os.environ, **tools.library_path()}
        done = subprocess.run(command, env=env, capture_output=True, text=True, check=False)
        return next((line.strip() for line in (done.stdout + done.stderr).splitlines() if line.strip()), "?")

    try:
        envoy = first_line(str(tools.envoy()), "--version").rpartition("version: ")[2].split("/")[1]
    except tools.MissingToolError:
        envoy = "not installed"
    nginx = first_line(str(found.nginx), "-v").rpartition(": ")[2]
    return {"nginx": nginx, "Envoy": envoy, "wrk": first_line(str(found.wrk), "-v").partition(" [")[0]}


def carry_out(options: argparse.Namespace, say: Say) -> Results:
    """Runs every part that was asked for and returns all results, older sections of this machine included."""
    found = tools.prepare()
    facts = results.machine(versions(found))
    before = None if options.quick else results.load()
    kept = Results(facts, dict(before.sections) if before and before.machine == facts else {})
    for part in parts_of(options):
        before_it = measure.moment()
        with ExitStack() as stack:
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="bench-")))
            section = part(rows.make_bed(found, folder, stack), options, kept, say)
            others = measure.moment().others_since(before_it)
        section.notes.append(f"Other processes used {others:.0%} of the machine while this ran.")
        if not options.quick:
            results.keep(kept)
    return kept


def _stop(number: int, frame: FrameType | None) -> None:
    raise SystemExit(128 + number)


def main(argv: Sequence[str]) -> int:
    """Returns 0 when every row that was asked for ran, 1 otherwise. Goals missed are shown, not returned."""
    signal.signal(signal.SIGTERM, _stop)
    options = arguments(argv)
    options.command = " ".join(["make bench", *([f"ARGS='{' '.join(argv)}'"] if argv else [])])
    if options.peers and "--peers" not in argv:
        options.command += " PEERS=1"
    began = time.monotonic()

    def say(text: str) -> None:
        print(f"[{time.monotonic() - began:6.1f}] {text}", file=sys.stderr, flush=True)

    try:
        kept = carry_out(options, say)
    except _EXPECTED as error:
        print(f"bench: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\nbench: interrupted; everything it started has been stopped", file=sys.stderr)
        return 130
    text = report.render(kept, measured_only=options.quick)
    print(text)
    if options.write if options.write is not None else not (options.quick or options.only):
        RESULTS.write_text(text)
        print(f"written to {RESULTS.relative_to(tools.ROOT)}", file=sys.stderr)
    return int(any("**" in note for section in kept.sections.values() for note in section.notes))


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
