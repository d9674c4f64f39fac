"""Which faults strike a request: read from text or JSON, chosen at start, at run time or per request."""

import random
import re
from collections.abc import Iterable

import msgspec

from pointsman.testing.simulator import faults_said as said
from pointsman.testing.simulator import faults_wire as wire
from pointsman.testing.simulator.answer import Call
from pointsman.testing.simulator.fault import Fault, own_fields

KINDS: tuple[type[Fault], ...] = (
    wire.Latency,
    wire.FirstTokenLatency,
    wire.TokenDelay,
    said.RateLimited,
    said.ServerError,
    said.Denied,
    said.ErrorBody,
    said.StreamError,
    said.MalformedJson,
    said.Truncated,
    said.OtherModel,
    said.NoUsage,
    said.Empty,
    said.Preamble,
    wire.Reset,
    wire.PrematureEof,
    wire.Hang,
    wire.CutPackets,
    wire.OtherFraming,
    wire.Down,
    wire.Flapping,
)
FAULTS: dict[str, type[Fault]] = {str(kind.__struct_config__.tag): kind for kind in KINDS}
_DURATION = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m)")
_SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0}


class FaultError(ValueError):
    """A fault that cannot be read; the message names it and says what could stand there."""


def seconds(text: str) -> float:
    """`200ms`, `1.5s`, `2m` or a bare number of seconds. Raises ValueError for anything else."""
    match = _DURATION.fullmatch(text.strip())
    return float(match[1]) * _SECONDS[match[2]] if match else float(text)


def parse_fault(text: str) -> Fault:
    """Read `name`, `name:value` or `name:value,key=value,…`, e.g. `rate_limited:2,first=3` or `latency:200ms,p=0.5`.

    A value without a key is the fault's first own field. Raises FaultError.
    """
    name, _, rest = text.strip().partition(":")
    kind = FAULTS.get(name)
    if kind is None:
        raise FaultError(f"no fault is called {name!r}; there are {', '.join(FAULTS)}")
    own = own_fields(kind)
    given: dict[str, object] = {}
    for place, part in enumerate(part for part in rest.split(",") if part.strip()):
        key, equals, value = part.partition("=")
        if not equals:
            if place or not own:
                raise FaultError(f"in fault {text!r}: write {part!r} as key=value")
            key, value = own[0].name, part
        given[key.strip()] = _duration_or_text(kind, key.strip(), value.strip())
    return _convert({"fault": name, **given}, text)


def read_fault(value: object) -> Fault:
    """A fault given as an object, as text, or as a JSON object `{"fault": "latency", "seconds": 0.2}`."""
    if isinstance(value, Fault):
        return value
    if isinstance(value, str):
        return parse_fault(value)
    if isinstance(value, dict):
        return _convert(value, str(value))
    raise FaultError(f"a fault is text or an object, not {type(value).__name__}")


def parse_faults(text: str) -> list[Fault]:
    """Several faults, separated by semicolons."""
    return [parse_fault(part) for part in text.split(";") if part.strip()]


def _duration_or_text(kind: type[Fault], key: str, value: str) -> object:
    field = next((field for field in msgspec.structs.fields(kind) if field.name == key), None)
    match = _DURATION.fullmatch(value) if field is not None and field.type is float else None
    return seconds(value) if match else value


def _convert(given: dict[str, object], text: str) -> Fault:
    kind = FAULTS.get(str(given.get("fault")))
    if kind is None:
        raise FaultError(f"no fault is called {given.get('fault')!r}; there are {', '.join(FAULTS)}")
    try:
        return msgspec.convert(given, type=kind, strict=False)
    except msgspec.ValidationError as error:
        fields = ", ".join(field.name for field in msgspec.structs.fields(kind))
        raise FaultError(f"in fault {text!r}: {error}; it takes {fields}") from None


class Behaviour:
    """The faults in force, with the counts and the seeded draws that choose among requests."""

    def __init__(self, faults: Iterable[Fault | str] = (), *, seed: int = 0) -> None:
        self._seed = seed
        self.set(faults)

    def set(self, faults: Iterable[Fault | str]) -> None:
        """Put these faults in force instead of all others; counting and draws begin anew."""
        read = tuple(read_fault(fault) for fault in faults)
        self.faults = read
        # These befall the listener at once, and no request; a down with a rule waits for its request.
        at_once = [fault for fault in read if isinstance(fault, wire.Down | wire.Flapping) and fault.always]
        self.listener = at_once[0] if at_once else None
        self._per_request = tuple(fault for fault in read if fault not in at_once)
        self.recount()

    def recount(self) -> None:
        """Begin counting and drawing anew."""
        self._counts = [0] * len(self._per_request)
        self._random = random.Random(self._seed)  # noqa: S311 - reproducible on purpose, no secret

    def choose(self, call: Call) -> list[Fault]:
        """The faults that strike this call, in the order they were given."""
        chosen = []
        for place, fault in enumerate(self._per_request):
            if not fault.concerns(call):
                continue
            self._counts[place] += 1
            draw = self._random.random() if fault.p < 1 else 0.0
            if fault.befalls(self._counts[place], draw):
                chosen.append(fault)
        return chosen
