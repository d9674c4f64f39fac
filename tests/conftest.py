"""What holds for every test: services are found, installed or said to be missing, and CI skips nothing."""

from __future__ import annotations

import os
from collections.abc import Generator
from typing import TypeVar

import pytest

from tests.services import SERVICES, ServiceMissingError, provide

Report = TypeVar("Report", pytest.TestReport, pytest.CollectReport)


def in_ci() -> bool:
    """Whether this run is to prove the whole product, so that nothing may be left out."""
    return os.environ.get("CI", "").lower() in ("1", "true", "yes")


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Provide the services that a test is marked with, before its fixtures start."""
    for mark in item.iter_markers("service"):
        name = str(mark.args[0])
        if name not in SERVICES:
            pytest.fail(f"'{name}' is no service; tests/services.py lists them: {', '.join(SERVICES)}", pytrace=False)
        try:
            provide(name)
        except ServiceMissingError as missing:
            pytest.skip(str(missing))


def _unskipped(report: Report) -> Report:
    """Turn a skip into a failure where skips are not allowed. An expected failure stays what it is."""
    if in_ci() and report.skipped and not hasattr(report, "wasxfail"):
        reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
        report.outcome = "failed"
        report.longrepr = f"CI skips nothing, and this was skipped. {reason}"
    return report


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """In CI a skipped test is a failed one."""
    return _unskipped((yield))


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report() -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    """In CI a module that skips itself is a failed one."""
    return _unskipped((yield))
