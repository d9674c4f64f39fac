"""Refuses chat and embedding requests that a provider would refuse."""

from typing import Any

from pointsman.testing.simulator.errors import RequestError

_ROLES = ("system", "developer", "user", "assistant", "tool", "function")
_BOUNDS = {
    "temperature": (0, 2),
    "top_p": (0, 1),
    "n": (1, 128),
    "presence_penalty": (-2, 2),
    "frequency_penalty": (-2, 2),
    "max_tokens": (1, 10**7),
    "max_completion_tokens": (1, 10**7),
}


def refuse(message: str, param: str, code: str | None = None) -> RequestError:
    """A 400 about one parameter."""
    return RequestError(400, message, param=param, code=code)


def validate_model(body: dict[str, Any]) -> str:
    """The model asked for. Raises RequestError."""
    model = body.get("model")
    if not isinstance(model, str) or not model:
        raise refuse("a model must be given, as text", "model")
    return model


def validate_chat(body: dict[str, Any]) -> None:
    """Check a chat completion request. Raises RequestError with the first thing amiss."""
    validate_model(body)
    messages = body.get("messages")
    if messages is None:
        raise refuse("missing required parameter: 'messages'", "messages", "missing_required_parameter")
    if not isinstance(messages, list) or not messages:
        raise refuse("'messages' must be an array with at least one message", "messages", "invalid_type")
    for place, message in enumerate(messages):
        _validate_message(message, f"messages[{place}]")
    for name, (low, high) in _BOUNDS.items():
        _validate_number(body.get(name), name, low, high)
    if body.get("stream_options") is not None and body.get("stream") is not True:
        raise refuse("'stream_options' is only allowed when 'stream' is true", "stream_options")
    _validate_tools(body)
    _validate_format(body.get("response_format"))


def _validate_message(message: Any, where: str) -> None:
    if not isinstance(message, dict):
        raise refuse(f"{where} must be an object", where, "invalid_type")
    if message.get("role") not in _ROLES:
        raise refuse(f"{where}.role must be one of {', '.join(_ROLES)}", f"{where}.role", "invalid_value")
    content = message.get("content")
    if content is None and message["role"] != "assistant":
        raise refuse(f"{where}.content must not be null for role {message['role']}", f"{where}.content")
    if not isinstance(content, str | list | None):
        raise refuse(f"{where}.content must be text or an array of parts", f"{where}.content", "invalid_type")
    if message["role"] == "tool" and not isinstance(message.get("tool_call_id"), str):
        raise refuse(f"{where}.tool_call_id is missing", f"{where}.tool_call_id", "missing_required_parameter")


def _validate_number(value: Any, name: str, low: float, high: float) -> None:
    if value is None:
        return
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise refuse(f"'{name}' must be a number", name, "invalid_type")
    if not low <= value <= high:
        raise refuse(f"'{name}' must lie between {low} and {high}; it is {value}", name, "invalid_value")


def _validate_tools(body: dict[str, Any]) -> None:
    tools = body.get("tools")
    if tools is None:
        if body.get("tool_choice") not in (None, "none", "auto"):
            raise refuse("'tool_choice' is only allowed with 'tools'", "tool_choice")
        return
    if not isinstance(tools, list) or not tools:
        raise refuse("'tools' must be an array with at least one tool", "tools", "invalid_type")
    for place, tool in enumerate(tools):
        kind = tool.get("type") if isinstance(tool, dict) else None
        described = tool.get(kind) if isinstance(kind, str) else None
        if not isinstance(described, dict) or not isinstance(described.get("name"), str):
            raise refuse(f"tools[{place}] must be a function with a name", f"tools[{place}]", "invalid_value")


def _validate_format(wanted: Any) -> None:
    if wanted is None:
        return
    kind = wanted.get("type") if isinstance(wanted, dict) else None
    if kind not in ("text", "json_object", "json_schema"):
        raise refuse("'response_format.type' must be text, json_object or json_schema", "response_format")
    if kind == "json_schema":
        described = wanted.get("json_schema")
        if not isinstance(described, dict) or not isinstance(described.get("name"), str):
            raise refuse("'response_format.json_schema' must have a name", "response_format.json_schema")


def validate_embeddings(body: dict[str, Any]) -> list[Any]:
    """The inputs to embed, one each. Raises RequestError."""
    validate_model(body)
    given = body.get("input")
    if isinstance(given, str):
        given = [given]
    if not isinstance(given, list) or not given:
        raise refuse("'input' must be text, an array of texts, or tokens", "input", "missing_required_parameter")
    if all(isinstance(item, int) for item in given):
        given = [given]
    if not all(isinstance(item, str) or (isinstance(item, list) and item) for item in given) or "" in given:
        raise refuse("'input' must hold texts or token arrays, none of them empty", "input", "invalid_type")
    if body.get("encoding_format", "float") not in ("float", "base64"):
        raise refuse("'encoding_format' must be float or base64", "encoding_format", "invalid_value")
    _validate_number(body.get("dimensions"), "dimensions", 1, 16_384)
    return given
