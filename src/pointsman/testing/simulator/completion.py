"""What a simulated model answers to a chat request, before it takes the shape of a wire format."""

from typing import Any

import msgspec

from pointsman.testing.simulator.schema import UnsatisfiableError, instance
from pointsman.testing.simulator.settings import Settings
from pointsman.testing.simulator.text import estimated_tokens, seed_of, sentence, text_of, tokens_of
from pointsman.testing.simulator.validation import refuse


class ToolCall(msgspec.Struct):
    """One call of a function; `arguments` is JSON text."""

    id: str
    name: str
    arguments: str


class Choice(msgspec.Struct):
    """One answer. `pieces` joined are the text; each counts as a token."""

    pieces: list[str]
    tool_calls: list[ToolCall]
    finish_reason: str

    @property
    def tokens(self) -> int:
        """How many tokens it is billed as."""
        return len(self.pieces) + sum(len(tokens_of(call.arguments)) + 4 for call in self.tool_calls)


class Completion(msgspec.Struct):
    """All answers to one request, with the tokens read and written."""

    choices: list[Choice]
    prompt_tokens: int

    @property
    def completion_tokens(self) -> int:
        """Over all choices."""
        return sum(choice.tokens for choice in self.choices)


def complete(body: dict[str, Any], settings: Settings) -> Completion:
    """Answer a valid chat request: the same one always in the same way. Raises RequestError."""
    messages = body["messages"]
    seed = seed_of(msgspec.json.encode([messages, body.get("seed")]), settings.seed)
    prompt = sum(estimated_tokens(text_of(message.get("content"))) + 4 for message in messages)
    if body.get("tools"):
        prompt += estimated_tokens(str(body["tools"]))
    choices = [_choice(body, settings, seed + index) for index in range(int(body.get("n") or 1))]
    return Completion(choices, prompt)


def _choice(body: dict[str, Any], settings: Settings, seed: int) -> Choice:
    calls = _tool_calls(body, seed)
    if calls:
        # A caller that named the function sees "stop", as with OpenAI; otherwise "tool_calls".
        named = isinstance(body.get("tool_choice"), dict)
        return Choice([], calls, "stop" if named else "tool_calls")
    wanted = body.get("response_format") or {}
    limit = body.get("max_completion_tokens") or body.get("max_tokens")
    if wanted.get("type") == "json_schema":
        made = _instance(wanted["json_schema"].get("schema", {}), seed, "response_format")
        pieces = _json_pieces(made)
    elif wanted.get("type") == "json_object":
        pieces = _json_pieces({"model": settings.name, "said": text_of(messages_last(body).get("content"))[:80]})
    else:
        question = text_of(messages_last(body).get("content"))
        length = settings.tokens if limit is None else min(settings.tokens, limit + 1)
        pieces = sentence(settings.name, question, seed, length)
    return _limited(pieces, limit, body.get("stop"))


def messages_last(body: dict[str, Any]) -> dict[str, Any]:
    """The last message, the one that is answered."""
    last = body["messages"][-1]
    return last if isinstance(last, dict) else {}


def _limited(pieces: list[str], limit: int | None, stop: Any) -> Choice:
    reason = "stop"
    stops = [stop] if isinstance(stop, str) else stop or []
    text = "".join(pieces)
    places = [place for place in (text.find(one) for one in stops if one) if place >= 0]
    if places:
        pieces = tokens_of(text[: min(places)])
    if limit is not None and len(pieces) > limit:
        pieces, reason = pieces[:limit], "length"
    return Choice(pieces, [], reason)


def _json_pieces(value: Any) -> list[str]:
    text = msgspec.json.encode(value).decode()
    return [text[place : place + 4] for place in range(0, len(text), 4)]


def _instance(schema: Any, seed: int, param: str) -> Any:
    try:
        return instance(schema, seed)
    except UnsatisfiableError as error:
        raise refuse(f"the simulator cannot meet this schema: {error}", param, "invalid_json_schema") from None


def _tool_calls(body: dict[str, Any], seed: int) -> list[ToolCall]:
    functions = [tool["function"] for tool in body.get("tools") or () if tool["type"] == "function"]
    calls = []
    for place, function in enumerate(_chosen(body, functions)):
        arguments = _instance(function.get("parameters") or {"type": "object"}, seed + place, "tools")
        text = msgspec.json.encode(arguments).decode()
        calls.append(ToolCall(f"call_{(seed + place) & 0xFFFFFFFF:08x}{place:016x}", function["name"], text))
    return calls


def _chosen(body: dict[str, Any], functions: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Which functions are called: the one demanded, else those that the last user message names."""
    choice = body.get("tool_choice", "auto")
    if choice == "none" or not functions:
        return []
    if isinstance(choice, dict):
        wanted = (choice.get("function") or {}).get("name")
        found = [function for function in functions if function["name"] == wanted]
        if not found:
            raise refuse(f"'tool_choice' names {wanted!r}, which is not among the tools", "tool_choice")
        return found
    last = messages_last(body)
    question = text_of(last.get("content")) if last.get("role") == "user" else ""
    mentioned = [function for function in functions if function["name"] in question]
    if choice == "required" and not mentioned:
        mentioned = functions[:1]
    return mentioned[:1] if body.get("parallel_tool_calls") is False else mentioned
