"""Error replies in OpenAI's shape."""

import msgspec

from pointsman.testing.simulator.answer import Answer

JSON_TYPE = ("content-type", "application/json")


class RequestError(Exception):
    """The request is not one a provider would take; carries what it would answer."""

    def __init__(self, status: int, message: str, *, code: str | None = None, param: str | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.code = code
        self.param = param

    def answer(self) -> Answer:
        """The error as a response."""
        return error_answer(self.status, self.message, code=self.code, param=self.param)


def error_type(status: int) -> str:
    """The `type` that goes with a status."""
    if status == 429:
        return "rate_limit_error"
    if status >= 500:
        return "server_error"
    return {401: "authentication_error", 403: "permission_error"}.get(status, "invalid_request_error")


def error_body(status: int, message: str, *, code: str | None = None, param: str | None = None) -> bytes:
    """`{"error": {message, type, param, code}}` as bytes."""
    error = {"message": message, "type": error_type(status), "param": param, "code": code}
    return msgspec.json.encode({"error": error})


def error_answer(status: int, message: str, *, code: str | None = None, param: str | None = None) -> Answer:
    """An error reply with that body."""
    return Answer(status, [JSON_TYPE], error_body(status, message, code=code, param=param))
