"""Objects on Cloud Storage, fetched whole for scoring."""

import io
import json
from typing import Any

from google.api_core.exceptions import GoogleAPICallError, GoogleAPIError, NotFound
from google.auth.exceptions import GoogleAuthError
from google.cloud import storage
from google.cloud.storage.exceptions import DataCorruption
from google.cloud.storage.retry import DEFAULT_RETRY
from requests.exceptions import RequestException

from scoring.errors import FetchError
from scoring.objects import FETCH_THREADS, MAX_OBJECT_BYTES, Fetch, ObjectError, split_uri
from transforms.clients import storage_client

# What a caller can be told for good; other answers of the service pass ("Retry strategy").
_CLIENT_ERRORS = range(400, 500)
_PASSING = frozenset({408, 429})

_MAX_DETAIL_CHARS = 300


def object_fetcher() -> Fetch:
    """The function that fetches an object by its URI, with connections that its threads share.

    Transient errors are retried by google-cloud-storage's DEFAULT_RETRY: 408, 429, 5xx, lost
    connections and timeouts, with exponential back-off and jitter, for two minutes; a download
    goes on where it stopped.

    Raises:
      FetchError: there are no credentials.
    """
    try:
        client = storage_client(FETCH_THREADS)
    except GoogleAuthError as e:
        raise FetchError(
            f"No Google Cloud credentials for fetching the objects that URIs name: {e}. Run "
            "'gcloud auth application-default login', or set GOOGLE_APPLICATION_CREDENTIALS."
        ) from e
    return lambda uri: _fetch(client, uri)


def _fetch(client: storage.Client, uri: str) -> bytes:
    bucket, name = split_uri(uri)
    sink = _BoundedBytes()
    try:
        client.bucket(bucket).blob(name).download_to_file(sink, retry=DEFAULT_RETRY)
    except NotFound as e:
        raise ObjectError("OBJECT_NOT_FOUND", "there is no such object") from e
    except (GoogleAPIError, GoogleAuthError, RequestException, DataCorruption, OSError) as e:
        if isinstance(e, GoogleAPICallError) and _is_final(e):
            raise ObjectError("OBJECT_UNREADABLE", f"the object cannot be read: {_said(e)}") from e
        raise FetchError(
            f"The object {uri} did not come: {e}. That says nothing about its row, so it was not "
            "rejected; the same attempt may succeed later."
        ) from e
    return sink.getvalue()


class _BoundedBytes(io.BytesIO):
    """What has come of an object; it ends a download that is too large."""

    def write(self, data: Any, /) -> int:
        """Adds some bytes.

        Raises:
          ObjectError: the object is larger than any that is fetched.
        """
        if self.tell() + len(data) > MAX_OBJECT_BYTES:
            limit = f"{MAX_OBJECT_BYTES // 2**20} MiB"
            raise ObjectError("OBJECT_TOO_LARGE", f"the object has more than {limit}")
        return super().write(data)


def _is_final(error: GoogleAPICallError) -> bool:
    return error.code in _CLIENT_ERRORS and error.code not in _PASSING


def _said(error: GoogleAPICallError) -> str:
    """The service's own words, in one line: text for an object's content, JSON for all else."""
    text = error.response.text if error.response is not None else error.message
    try:
        text = json.loads(text)["error"]["message"]
    except (ValueError, TypeError, KeyError):
        # It is the text itself.
        text = str(text)
    words = " ".join(text.split())[:_MAX_DETAIL_CHARS]
    return f"{error.code} {words}".rstrip(" .")
