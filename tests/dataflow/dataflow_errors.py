"""How Dataflow says no."""

from typing import Any

# google.rpc.Code, and the reason that Google's JSON APIs add.
_CODES = {
    400: ("INVALID_ARGUMENT", "badRequest"),
    404: ("NOT_FOUND", "notFound"),
    409: ("ALREADY_EXISTS", "alreadyExists"),
}


class RefusedError(Exception):
    """A request that is answered with an HTTP error.

    Attributes:
      status: 400, 404 or 409.
      message: the reason.
      details: further messages of the error, as JSON values with their @type.
    """

    def __init__(self, status: int, message: str, *details: dict[str, Any]) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.details = details

    def body(self) -> dict[str, Any]:
        """The answer, in the form of all of Google's APIs."""
        name, reason = _CODES[self.status]
        first = {"message": self.message, "domain": "global", "reason": reason}
        error = {"code": self.status, "message": self.message, "status": name, "errors": [first]}
        return {"error": {**error, "details": list(self.details)} if self.details else error}
