"""A fault: one way to misbehave, with a rule that says which requests it befalls."""

from typing import Any, Literal

import msgspec

from pointsman.testing.simulator.answer import Answer, Call, Delivery


class Fault(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="fault"):
    """What every fault has in common: the choice of requests.

    `on` narrows the requests that count at all; of those, `after` skips the first so many, `first` takes only
    the first so many (of the ones left), `every` takes each n-th, and `p` draws with that probability.
    """

    p: float = 1.0
    every: int = 1
    first: int | None = None
    after: int = 0
    on: Literal["any", "chat", "embeddings", "models", "stream", "unary"] = "any"

    def __post_init__(self) -> None:
        if not 0 <= self.p <= 1:
            raise ValueError(f"p is a probability between 0 and 1, not {self.p}")
        if self.every < 1 or self.after < 0 or (self.first is not None and self.first < 0):
            raise ValueError("every counts from 1; first and after count from 0")

    def concerns(self, call: Call) -> bool:
        """Whether the fault counts this request at all."""
        if self.on == "any":
            return True
        if self.on in ("stream", "unary"):
            return call.stream == (self.on == "stream")
        return call.kind == self.on

    def befalls(self, number: int, draw: float) -> bool:
        """Whether it strikes the `number`-th (from 1) request that concerns it; `draw` is uniform in [0, 1)."""
        place = number - self.after
        if place < 1 or (self.first is not None and place > self.first):
            return False
        return place % self.every == 0 and draw < self.p

    @property
    def always(self) -> bool:
        """Whether it strikes every request, so that no choice is left to make."""
        return self.p == 1 and self.every == 1 and self.first is None and self.after == 0 and self.on == "any"

    @property
    def name(self) -> str:
        """The word it goes by in options, headers and JSON."""
        return str(type(self).__struct_config__.tag)

    def change_answer(self, answer: Answer, call: Call) -> Answer:
        """What is said instead. The default says the same."""
        return answer

    def change_delivery(self, delivery: Delivery) -> None:
        """How it is delivered instead. The default changes nothing."""


def own_fields(kind: type[Fault]) -> list[Any]:
    """The fields a fault adds to the common ones, in order; the first may be written without its name."""
    common = {field.name for field in msgspec.structs.fields(Fault)}
    return [field for field in msgspec.structs.fields(kind) if field.name not in common]
