"""What Google Cloud refuses, in the user's words."""

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from google.api_core.exceptions import (
    BadRequest,
    Forbidden,
    GoogleAPICallError,
    GoogleAPIError,
    NotFound,
    RetryError,
    Unauthorized,
)
from google.auth.exceptions import GoogleAuthError
from google.cloud.bigquery import DEFAULT_RETRY

from pipeline.errors import PlanError

# How long a call is tried again while a person waits for the plan; the client's own limit is
# ten minutes.
_PATIENCE_S = 20.0
# Colours and the like, and all control characters but tabs and line ends.
_CONTROL = re.compile(r"\x1b\[[0-9;]*m|[\x00-\x08\x0b-\x1f\x7f]")
PATIENT_RETRY = DEFAULT_RETRY.with_timeout(_PATIENCE_S)
# How long one of these calls may go unanswered; a large dry run takes some seconds.
PATIENT_TIMEOUT_S = 60.0
# What reading and writing on Cloud Storage through Beam can raise.
STORAGE_ERRORS = (OSError, GoogleAPIError, GoogleAuthError)


@contextmanager
def explained(doing: str, *, missing: str, cure: str = "") -> Iterator[None]:
    """Turns an error of a Google Cloud client into a PlanError.

    Args:
      doing: what was tried, "reading table a.b.c" say.
      missing: the sentence for something that is not there.
      cure: what to change if the service calls the request itself bad.
    """
    try:
        yield
    except NotFound as e:
        raise PlanError(missing) from e
    except (Forbidden, Unauthorized) as e:
        raise PlanError(
            f"No permission for {doing}: {said(e)}. Grant the account of this job the missing "
            "role, or run it as another one."
        ) from e
    except BadRequest as e:
        raise PlanError(f"BigQuery refused {doing}: {said(e)}. {cure}".strip()) from e
    except GoogleAuthError as e:
        raise PlanError(
            f"No Google Cloud credentials for {doing}: {e}. Run "
            "'gcloud auth application-default login', or set GOOGLE_APPLICATION_CREDENTIALS."
        ) from e
    except RetryError as e:
        raise PlanError(
            f"{doing[:1].upper()}{doing[1:]} failed for {_PATIENCE_S:.0f} s, the last time with: "
            f"{e.cause}. Check this machine's network, then try again."
        ) from e
    except GoogleAPICallError as e:
        raise PlanError(f"{doing[:1].upper()}{doing[1:]} failed: {said(e)}. Try again.") from e


def said(error: GoogleAPICallError) -> str:
    """The service's own words, without the address of the request, as the start of a sentence.

    Without control characters, too, which a terminal would obey.
    """
    details = [d["message"] for d in error.errors if isinstance(d, Mapping) and "message" in d]
    words = _CONTROL.sub("", str(details[0] if details else error.message))
    return words.strip().rstrip(".")
