"""The `/_sim` endpoints, by which another process steers the simulator and sees what it received."""

import asyncio
from typing import TYPE_CHECKING
from urllib.parse import parse_qs

import msgspec

from pointsman.testing.simulator.answer import Answer, Call
from pointsman.testing.simulator.behaviour import FaultError, read_fault
from pointsman.testing.simulator.errors import JSON_TYPE, RequestError
from pointsman.testing.simulator.fault import Fault
from pointsman.testing.simulator.faults_wire import Down
from pointsman.testing.simulator.steps import BEFORE_RESET

if TYPE_CHECKING:
    from pointsman.testing.simulator.server import Simulator


class NewBehaviour(msgspec.Struct, forbid_unknown_fields=True):
    """The body of `POST /_sim/behaviour`. What is absent stays as it is."""

    faults: list[object] | msgspec.UnsetType = msgspec.UNSET
    recording: str | msgspec.UnsetType | None = msgspec.UNSET


def answer(simulator: "Simulator", call: Call, *, from_control_port: bool) -> Answer:
    """Serve one control request."""
    try:
        match call.method, call.path:
            case "POST", "/_sim/behaviour":
                _behave(simulator, call, from_control_port)
                return _behaviour(simulator)
            case "GET", "/_sim/behaviour":
                return _behaviour(simulator)
            case "GET", "/_sim/requests":
                return _requests(simulator, call)
            case "POST", "/_sim/reset":
                simulator.behave()
                simulator.replay(None)
                simulator.forget()
                return _behaviour(simulator)
    except RequestError as error:
        return error.answer()
    known = "POST /_sim/behaviour, GET /_sim/behaviour, GET /_sim/requests, POST /_sim/reset"
    return RequestError(404, f"nothing is at {call.method} {call.path}; there are {known}").answer()


def _behave(simulator: "Simulator", call: Call, from_control_port: bool) -> None:
    try:
        wanted = msgspec.json.decode(call.body, type=NewBehaviour)
        faults = None if isinstance(wanted.faults, msgspec.UnsetType) else [read_fault(one) for one in wanted.faults]
    except (msgspec.DecodeError, UnicodeDecodeError, FaultError) as error:
        raise RequestError(400, str(error)) from None
    if not isinstance(wanted.recording, msgspec.UnsetType):
        simulator.replay(wanted.recording)
    if faults is None:
        return
    downs = [fault for fault in faults if isinstance(fault, Down)]
    if downs and not simulator.has_control_port and not all(fault.seconds for fault in downs):
        raise RequestError(
            400, "down without a time could not be undone over this port; write down:5s, or start with --control-port"
        )
    _put_in_force(simulator, faults, at_once=from_control_port or not downs)


def _put_in_force(simulator: "Simulator", faults: list[Fault], *, at_once: bool) -> None:
    if at_once:
        simulator.behave(*faults)
    else:
        # This very answer has to leave before its connection is reset.
        asyncio.get_running_loop().call_later(BEFORE_RESET, simulator.behave, *faults)


def _behaviour(simulator: "Simulator") -> Answer:
    described = {
        "name": simulator.settings.name,
        "up": simulator.is_up,
        "count": simulator.count,
        "faults": [msgspec.to_builtins(fault) for fault in simulator.behaviour.faults],
        "recording": simulator.provider.pinned,
    }
    return Answer(200, [JSON_TYPE], msgspec.json.encode(described))


def _requests(simulator: "Simulator", call: Call) -> Answer:
    """`?after=N` leaves out requests up to that number."""
    try:
        after = int(parse_qs(call.query).get("after", ["0"])[0])
    except ValueError:
        raise RequestError(400, "after is the number of a request", param="after") from None
    found = [record.described() for record in simulator.requests if record.number > after]
    return Answer(200, [JSON_TYPE], msgspec.json.encode({"count": simulator.count, "requests": found}))
