"""The simulated provider without its socket: from a call to an answer."""

import hmac
import itertools
import time
from typing import Any

import msgspec

from pointsman.testing.simulator import openai_chat, openai_embeddings
from pointsman.testing.simulator.answer import Answer, Call, Kind
from pointsman.testing.simulator.completion import complete
from pointsman.testing.simulator.errors import JSON_TYPE, RequestError
from pointsman.testing.simulator.replay import Library
from pointsman.testing.simulator.settings import Settings
from pointsman.testing.simulator.text import seed_of
from pointsman.testing.simulator.validation import validate_chat, validate_embeddings, validate_model

_CREATED = 1_750_000_000


def kind_of(path: str, *, any_prefix: bool = False) -> Kind:
    """What a path asks for: with `/v1` or without; with any prefix at all when recordings of many hosts are served."""
    bare = path.removeprefix("/v1")
    if bare == "/chat/completions" or (any_prefix and path.endswith("/chat/completions")):
        return "chat"
    if bare == "/embeddings" or (any_prefix and path.endswith("/embeddings")):
        return "embeddings"
    return "models" if bare == "/models" or bare.startswith("/models/") else "other"


class Provider:
    """Answers calls: from a recording where there is one, else by making something up from the request."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self.library = Library(settings.recordings, settings.match) if settings.recordings is not None else None
        self.pinned: str | None = None
        self._numbers = itertools.count(1)

    def read(self, call: Call) -> str:
        """Fill in the call's kind and JSON; return the fault text behind a `#` in its model name, if any."""
        call.kind = kind_of(call.path, any_prefix=self.library is not None)
        if call.kind not in ("chat", "embeddings") or not call.body:
            return ""
        try:
            body = msgspec.json.decode(call.body)
        except (msgspec.DecodeError, UnicodeDecodeError):
            return ""
        if not isinstance(body, dict):
            return ""
        call.json = body
        model = body.get("model")
        if not isinstance(model, str) or "#" not in model:
            return ""
        body["model"], _, faults = model.partition("#")
        return faults

    def answer(self, call: Call) -> Answer:
        """The answer a healthy provider would give; errors too are answers."""
        try:
            answer = self._answer(call)
        except RequestError as error:
            answer = error.answer()
        answer.headers.append(("x-request-id", f"req_sim_{next(self._numbers):08d}"))
        return answer

    def _answer(self, call: Call) -> Answer:
        if call.kind == "other":
            raise RequestError(404, f"nothing is served at {call.method} {call.path}", code="unknown_url")
        self._authenticate(call)
        wanted = "GET" if call.kind == "models" else "POST"
        if call.method != wanted:
            raise RequestError(405, f"{call.path} takes {wanted}, not {call.method}", code="method_not_supported")
        if call.kind == "models":
            return self._models(call.path)
        if call.json is None:
            raise RequestError(400, "the body of the request is not a JSON object")
        recorded = self._recorded(call)
        return recorded if recorded is not None else self._generated(call, call.json)

    def _authenticate(self, call: Call) -> None:
        if not self._settings.api_keys:
            return
        given = call.headers.get("authorization", "").removeprefix("Bearer ").encode()
        if not any(hmac.compare_digest(given, key.encode()) for key in self._settings.api_keys):
            raise RequestError(401, "the API key is missing or wrong", code="invalid_api_key")

    def _recorded(self, call: Call) -> Answer | None:
        if self.library is None:
            return None
        wanted = call.headers.get("x-sim-recording", self.pinned)
        found = self.library.by_id.get(wanted) if wanted is not None else self.library.find(call)
        if found is not None:
            return found.answer()
        if wanted is not None or self._settings.on_miss == "refuse":
            raise RequestError(404, f"no recording answers this request (id {wanted})", code="no_recording")
        return None

    def _generated(self, call: Call, body: dict[str, Any]) -> Answer:
        settings = self._settings
        if call.kind == "embeddings":
            inputs = validate_embeddings(body)
            return openai_embeddings.embeddings(
                inputs,
                model=self._served(body),
                dimensions=body.get("dimensions") or settings.dimensions,
                in_base64=body.get("encoding_format") == "base64",
                seed=settings.seed,
            )
        validate_chat(body)
        model = self._served(body)
        completion = complete(body, settings)
        call_id = f"chatcmpl-sim{seed_of(call.body, settings.seed):08x}"
        created = int(time.time())
        if not call.stream:
            return openai_chat.unary(completion, call_id=call_id, model=model, created=created)
        include_usage = bool((body.get("stream_options") or {}).get("include_usage"))
        return openai_chat.streamed(
            completion, call_id=call_id, model=model, created=created, include_usage=include_usage
        )

    def _served(self, body: dict[str, Any]) -> str:
        """The model name the answer reports. Raises RequestError for one that is not on the list."""
        asked = validate_model(body)
        if not self._settings.models:
            return asked
        served = self._settings.models.get(asked)
        if served is None:
            raise RequestError(404, f"the model {asked!r} does not exist here", code="model_not_found", param="model")
        return served

    def _models(self, path: str) -> Answer:
        names = list(self._settings.models) or [self._settings.name]
        described = [
            {"id": name, "object": "model", "created": _CREATED, "owned_by": self._settings.name} for name in names
        ]
        _, _, wanted = path.removeprefix("/v1").removeprefix("/models").partition("/")
        if not wanted:
            return Answer(200, [JSON_TYPE], msgspec.json.encode({"object": "list", "data": described}))
        found = next((model for model in described if model["id"] == wanted), None)
        if found is None:
            raise RequestError(404, f"the model {wanted!r} does not exist here", code="model_not_found")
        return Answer(200, [JSON_TYPE], msgspec.json.encode(found))
