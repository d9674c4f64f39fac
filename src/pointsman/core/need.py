"""What one request requires of a target, derived from its body."""

from __future__ import annotations

import msgspec

from pointsman.core.capability import Task, capability_names


class Need(msgspec.Struct, frozen=True, gc=False):
    """The requirements of one request.

    `capabilities` is a mask. `input_tokens` is an estimate that errs low, so that a window is only called too small
    when it surely is; `max_output` is what the caller asked for, 0 when it asked for nothing.
    """

    task: Task = Task.CHAT
    capabilities: int = 0
    input_tokens: int = 0
    max_output: int = 0

    def words(self) -> list[str]:
        """The need in the words of the documentation, for explanations."""
        said = [str(self.task), *capability_names(self.capabilities)]
        if self.input_tokens:
            said.append(f"about {self.input_tokens} input tokens")
        if self.max_output:
            said.append(f"up to {self.max_output} output tokens")
        return said
