"""Errors a user can act on.

ScoringError
├── ModelError       the SavedModel: where it is, what it holds, how it behaves
├── ColumnError      the columns do not fit the model's inputs and outputs
├── FetchError       an object that a row names did not come; it may come later
└── BatchCallError   one call of the model failed; its rows are searched one by one
"""


class ScoringError(Exception):
    """Base of all errors of this package; the message is meant for the user."""


class ModelError(ScoringError):
    """The model cannot be found, read, loaded or used as asked."""


class ColumnError(ScoringError):
    """The table's columns cannot be matched to the model's inputs or outputs."""


class FetchError(ScoringError):
    """An object on Cloud Storage did not come; the same attempt may succeed later."""


class BatchCallError(ScoringError):
    """A call of the model failed for a whole batch.

    Attributes:
      code: the reject code that a row gets if it fails alone, too.
      out_of_memory: whether a smaller batch could succeed.
    """

    def __init__(self, code: str, message: str, *, out_of_memory: bool = False) -> None:
        super().__init__(message)
        self.code = code
        self.out_of_memory = out_of_memory

    def __reduce__(self) -> tuple[object, ...]:
        """A shared model raises it in another process than the one that handles it."""
        return _batch_call_error, (self.code, str(self), self.out_of_memory)


def _batch_call_error(code: str, message: str, out_of_memory: bool) -> BatchCallError:
    return BatchCallError(code, message, out_of_memory=out_of_memory)
