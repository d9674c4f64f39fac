"""The calls of the demo: what an application would do, and what the headers and the records say about it."""

from __future__ import annotations

import json
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable
from typing import Any

from rich.console import Console

from pointsman.demo.stage import Stage

ECONOMY = "economy:sim-classifier-2026-03-01"
LOCAL = "local:smollm2-135m-instruct"
STORED_SECONDS = 10.0
TRUTH = ("target", "served-model", "policy", "attempts", "cost-usd", "revision", "call-id")


class Play:
    """Runs the scenes against a stage. `ok` turns false when one does not come out as it must."""

    def __init__(self, stage: Stage, openai: Any, console: Console) -> None:
        self.ok = True
        self._stage = stage
        self._openai = openai
        self._console = console
        self._support = openai.OpenAI(base_url=stage.base_url, api_key=stage.support_key, max_retries=0)
        self._compliance = openai.OpenAI(base_url=stage.base_url, api_key=stage.compliance_key, max_retries=0)

    def scenes(self) -> tuple[Callable[[], None], ...]:
        """All scenes, in order."""
        return (
            self.interlock,
            self.regulated,
            self.local_model,
            self.streamed,
            self.refused_target,
            self.outage,
            self.refused_request,
            self.evidence,
        )

    def interlock(self) -> None:
        """An economy target as the fallback of a regulated answer does not compile."""
        self._title("A registry in which an economy model could answer a regulated question does not compile")
        bad = self._stage.folder / "unsafe.yaml"
        text = self._stage.registry.read_text(encoding="utf-8")
        bad.write_text(
            text.replace(
                "candidates: [premium:sim-large-2026-03-01, local:smollm2-135m-instruct]",
                f"candidates: [premium:sim-large-2026-03-01, {ECONOMY}]",
            ),
            encoding="utf-8",
        )
        code, out = self._command("check", str(bad))
        self._console.print(textwrap.indent(out.strip(), "  "), markup=False, highlight=False)
        self._must(code == 1 and "lacks the tag" in out, "the interlock refuses the registry")

    def regulated(self) -> None:
        """The workflow's first choice answers."""
        self._title("support-answer, a regulated workflow: the application sends its name and no model id")
        self._ask(self._support, "support-answer", "Is my warranty still valid?", expect="premium:")

    def local_model(self) -> None:
        """A real model answers behind an alias."""
        self._title("default, an alias: a real model on this machine answers")
        self._ask(self._support, "default", "Which city is the capital of France?", expect=LOCAL)

    def streamed(self) -> None:
        """The same as a stream."""
        self._title("The same as a stream")
        began = time.monotonic()
        first = 0.0
        said = ""
        with self._support.chat.completions.with_streaming_response.create(
            model="default",
            messages=[{"role": "user", "content": "What is 2+2?"}],
            max_tokens=40,
            temperature=0,
            stream=True,
        ) as response:
            headers = response.headers
            for chunk in response.parse():
                piece = chunk.choices[0].delta.content if chunk.choices else None
                if piece:
                    first = first or time.monotonic() - began
                    said += piece
        self._answer(said)
        self._console.print(f"  first token after {first * 1000:.0f} ms", highlight=False)
        self._headers(headers)
        self._must(headers.get("x-pointsman-target") == LOCAL and bool(said), "the local model streams")

    def refused_target(self) -> None:
        """A key that may only be served by regulated targets never reaches the economy one."""
        self._title("triage prefers the economy model; for the key compliance-app it is refused, with the reason")
        headers = self._ask(self._compliance, "triage", "Sort this ticket: printer on fire.", expect=LOCAL)
        code, out = self._eventually("explain", headers["x-pointsman-call-id"])
        self._console.print(textwrap.indent(out.rstrip(), "  "), markup=False, highlight=False)
        self._must(code == 0 and "key_tag" in out, "the decision says why the economy target was dropped")

    def outage(self) -> None:
        """The premium provider goes down; the policy's fallback answers."""
        self._title("Outage: the premium provider refuses connections; the policy's fallback answers")
        self._stage.outage()
        try:
            headers = self._ask(self._support, "support-answer", "Which city is the capital of France?", expect=LOCAL)
            self._must(int(headers["x-pointsman-attempts"]) > 1, "the call went on after a failed attempt")
        finally:
            self._stage.recovery()

    def refused_request(self) -> None:
        """An image for a workflow whose healthy candidates cannot all see: refused, each target with its reason."""
        self._title("A request that nobody eligible can serve is refused in the caller's own error shape")
        try:
            self._compliance.chat.completions.create(
                model="triage",
                messages=[
                    {
                        "role": "user",
                        "content": [
                            {"type": "text", "text": "What is on this picture?"},
                            {"type": "image_url", "image_url": {"url": "data:image/png;base64,iVBORw0KGgo="}},
                        ],
                    }
                ],
            )
            self._must(False, "the request is refused")
        except self._openai.APIStatusError as error:
            said = textwrap.fill(str(error.body.get("message") if isinstance(error.body, dict) else error), 96)
            self._console.print(textwrap.indent(f"{error.status_code} {error.code}: {said}", "  "), highlight=False)
            self._must(error.code == "no_eligible_target", "the request is refused")

    def evidence(self) -> None:
        """The three questions, first form."""
        self._title("Evidence: which traffic used the local model, what did it cost, did quality move?")
        self._eventually("report", LOCAL, "--json", until=lambda said: json.loads(said)["traffic"]["calls"] >= 4)
        code, out = self._command("report", LOCAL, *self._where())
        self._console.print(textwrap.indent(out.rstrip(), "  "), markup=False, highlight=False)
        self._must(code == 0, "the report answers")

    # -- props ----------------------------------------------------------------------------------------------

    def _ask(self, client: Any, model: str, question: str, *, expect: str) -> Any:
        response = client.chat.completions.with_raw_response.create(
            model=model, messages=[{"role": "user", "content": question}], max_tokens=40, temperature=0
        )
        said = response.parse().choices[0].message.content or ""
        self._console.print(f"  [dim]>[/] {question}")
        self._answer(said)
        self._headers(response.headers)
        self._must(response.headers.get("x-pointsman-target", "").startswith(expect), f"{expect} answers")
        return response.headers

    def _answer(self, text: str) -> None:
        shown = textwrap.shorten(" ".join(text.split()), 160, placeholder=" …")
        self._console.print(f"  < {shown}", markup=False, highlight=False)

    def _headers(self, headers: Any) -> None:
        said = "  ".join(
            f"{name}={headers[f'x-pointsman-{name}']}" for name in TRUTH if f"x-pointsman-{name}" in headers
        )
        self._console.print(textwrap.indent(textwrap.fill(said, 96), "  "), style="cyan", markup=False, highlight=False)

    def _title(self, text: str) -> None:
        self._console.print(f"\n[bold]{text}[/]")

    def _must(self, held: bool, what: str) -> None:
        if not held:
            self.ok = False
            self._console.print(f"  NOT AS EXPECTED: {what}", style="bold red", markup=False)

    def _where(self) -> list[str]:
        return ["--admin-url", self._stage.admin_url, "--data-dir", str(self._stage.data_dir)]

    def _eventually(self, *arguments: str, until: Callable[[str], bool] = lambda said: True) -> tuple[int, str]:
        """A command about calls that have only just ended: they are stored within about a second."""
        deadline = time.monotonic() + STORED_SECONDS
        while True:
            code, out = self._command(*arguments, *self._where())
            if (code == 0 and until(out)) or time.monotonic() > deadline:
                return code, out
            time.sleep(0.2)

    def _command(self, *arguments: str) -> tuple[int, str]:
        done = subprocess.run(  # noqa: S603 - our own commands
            [sys.executable, "-m", "pointsman", *arguments], capture_output=True, text=True, check=False
        )
        return done.returncode, done.stdout + done.stderr
