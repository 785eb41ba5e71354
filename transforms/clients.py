"""The one place where clients of Google Cloud are made, on the launcher and on workers.

Three environment variables choose between the real services and the embedded ones:

* ``BIGQUERY_EMULATOR_HOST``: base URL of BigQuery's REST API, ``http://127.0.0.1:9050``;
* ``BIGQUERY_STORAGE_EMULATOR_HOST``: ``host:port`` of the BigQuery Storage gRPC API, plain text;
* ``STORAGE_EMULATOR_HOST``: base URL of Cloud Storage.

Worker processes inherit the variables, and import this module before they run anything, because it
is named as a ``beam_plugins`` option (local mode hands it to them in PIPELINE_OPTIONS_FILE); the
import redirects Beam.
"""

from __future__ import annotations

import functools
import os
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, cast

if TYPE_CHECKING:
    from google.auth.credentials import AnonymousCredentials
    from google.cloud import bigquery, storage
    from google.cloud.bigquery_storage_v1 import BigQueryReadClient

BIGQUERY_URL = "BIGQUERY_EMULATOR_HOST"
BIGQUERY_STORAGE_ENDPOINT = "BIGQUERY_STORAGE_EMULATOR_HOST"
STORAGE_URL = "STORAGE_EMULATOR_HOST"

CALL_TIMEOUT_S = 300.0
"""How long a call of BigQuery's REST API may go unanswered; then it is a transient error.

google-cloud-bigquery waits for ever on most calls (DEFAULT_TIMEOUT). The service ends its own calls
after 2 minutes, and even twice that has been too short (python-bigquery issue 970).
"""

_FIND_JOB_TIMEOUT_S = 60.0
_UNLIMITED = -1
_GATEWAY_TIMEOUT = 504
_FORBIDDEN = 403
_TOO_MANY_REQUESTS = 429
# Reasons of a 403 that passes ("Error messages", BigQuery).
_PASSING_REASONS = frozenset({"rateLimitExceeded", "jobRateLimitExceeded"})


def is_redirected() -> bool:
    """Whether this process talks to embedded servers instead of Google Cloud."""
    return bool(os.environ.get(BIGQUERY_URL))


def reads_locally() -> bool:
    """Whether pages of the Storage Read API come from an embedded server."""
    return bool(os.environ.get(BIGQUERY_STORAGE_ENDPOINT))


def bigquery_client(project: str) -> bigquery.Client:
    """A BigQuery client that bills `project`, with application default credentials.

    Its calls are retried by google-cloud-bigquery's DEFAULT_RETRY: 429, 500, 502, 503, lost
    connections and timeouts, with exponential back-off from 1 s to 60 s and jitter, for 10 minutes;
    those of uploads by google-resumable-media, up to 6 times, with back-off up to 64 s and jitter.
    What they leave out, the session makes a timeout or a 429.

    Raises:
        google.auth.exceptions.DefaultCredentialsError: no credentials and no embedded server.
    """
    import google.auth
    from google.cloud import bigquery

    # google-cloud-bigquery reads BIGQUERY_EMULATOR_HOST itself, but wants credentials all the same.
    credentials = (
        _anonymous()
        if is_redirected()
        else cast(Any, google.auth).default(scopes=bigquery.Client.SCOPE)[0]
    )
    session = _bounded_session_class()(credentials)
    session.configure_mtls_channel()
    return bigquery.Client(project=project, credentials=credentials, _http=session)


@functools.cache
def _bounded_session_class() -> Any:
    """AuthorizedSession, defined late because requests takes long to import."""
    import requests
    from google.auth.transport.requests import AuthorizedSession

    class BoundedSession(cast(Any, AuthorizedSession)):  # type: ignore[misc]
        """Waits for an answer no longer than CALL_TIMEOUT_S, if the call does not say how long."""

        def request(self, *arguments: Any, timeout: Any = None, **keywords: Any) -> Any:
            """Makes the request; what the client's retries leave out becomes what they take."""
            bound = CALL_TIMEOUT_S if timeout is None else timeout
            response = super().request(*arguments, timeout=bound, **keywords)
            if response.status_code == _FORBIDDEN and _is_passing(response.content):
                # Uploads are tried again by the status alone, without a look at the reason.
                response.status_code = _TOO_MANY_REQUESTS
            if response.status_code == _GATEWAY_TIMEOUT:
                # DEFAULT_RETRY takes timeouts of the connection, but not a gateway's, which come
                # without a reason.
                raise requests.exceptions.ReadTimeout(
                    f"504 Gateway Timeout: {response.url}", response=response
                )
            return response

    return BoundedSession


def job_once(
    client: bigquery.Client, job_id: str, location: str | None, start: Callable[[], Any]
) -> Any:
    """The job that `start` starts, or the one that was started before under the same id.

    Also a single call of `start` can find its id taken: when the answer is lost, the client makes
    the request again, and BigQuery says 409. For a moment it may say at once that there is no such
    job (python-bigquery issue 2134), so that a 404 is asked again for up to a minute.

    Raises:
        GoogleAPICallError: neither worked; the job's own failure is not looked at.
    """
    from google.api_core import retry
    from google.api_core.exceptions import Conflict, NotFound

    try:
        return start()
    except Conflict:
        until_found = retry.Retry(
            predicate=retry.if_exception_type(NotFound), timeout=_FIND_JOB_TIMEOUT_S
        )
        return until_found(client.get_job)(job_id, location=location)


@functools.cache
def retry_rate_limits_in_beam() -> None:
    """Makes Beam's own calls of BigQuery try again after 403 rateLimitExceeded, as after a 429.

    Those of its file loads are made by apitools, which waits up to 60 s for an answer and tries
    429 and 5xx five times, with exponential back-off and jitter; Beam tries 5xx four times over,
    after 5 s, 10 s and 20 s. Most of BigQuery's limits answer with 403, though, which neither does.
    """
    from apache_beam.io.gcp.bigquery_tools import BigQueryWrapper

    wrapper = cast(Any, BigQueryWrapper)
    original = wrapper._bigquery_client

    @functools.wraps(original)
    def make_client(*arguments: Any) -> Any:
        client = original(*arguments)
        client.check_response_func = _check_apitools_response
        return client

    wrapper._bigquery_client = staticmethod(make_client)


def _check_apitools_response(response: Any) -> None:
    """Raises what apitools retries."""
    from apitools.base.py import (  # type: ignore[import-untyped]
        exceptions,
        http_wrapper,
    )

    http_wrapper.CheckResponse(response)
    content = response.content
    if response.status_code == _FORBIDDEN and _is_passing(content):
        # Of this very class: the one that FromResponse chooses for a 403 is not retried.
        raise exceptions.BadStatusCodeError(response.info, content, response.request_url)


def _is_passing(content: bytes | str) -> bool:
    """Whether the body of a 403 has a reason for which the call may succeed later."""
    text = content.decode(errors="replace") if isinstance(content, bytes) else content
    return any(f'"{reason}"' in text for reason in _PASSING_REASONS)


def bigquery_read_client() -> BigQueryReadClient:
    """The process's client of the BigQuery Storage Read API, so that it connects once.

    Raises:
        google.auth.exceptions.DefaultCredentialsError: no credentials and no embedded server.
    """
    return _read_client(os.environ.get(BIGQUERY_STORAGE_ENDPOINT))


@functools.lru_cache(maxsize=1)
def _read_client(endpoint: str | None) -> BigQueryReadClient:
    from google.cloud import bigquery_storage_v1

    arguments = {"transport": _plain_text_transport(endpoint)} if endpoint else {}
    client: BigQueryReadClient = cast(Any, bigquery_storage_v1).BigQueryReadClient(**arguments)
    return client


def _plain_text_transport(endpoint: str) -> object:
    """A Storage Read transport without TLS and without a limit on the size of a page."""
    import grpc
    from google.cloud.bigquery_storage_v1.services.big_query_read.transports import (
        BigQueryReadGrpcTransport,
    )

    options = [
        ("grpc.max_receive_message_length", _UNLIMITED),
        ("grpc.max_send_message_length", _UNLIMITED),
        ("grpc.enable_http_proxy", 0),
    ]
    return BigQueryReadGrpcTransport(channel=grpc.insecure_channel(endpoint, options=options))


def storage_client(connections: int) -> storage.Client:
    """A Cloud Storage client that as many threads may use at once as it keeps connections.

    It has no project of its own: only buckets and objects that exist can be used.

    Raises:
        google.auth.exceptions.DefaultCredentialsError: no credentials and no embedded server.
    """
    import google.auth
    from google.auth.transport.requests import AuthorizedSession
    from google.cloud import storage
    from requests.adapters import HTTPAdapter

    # google-cloud-storage reads STORAGE_EMULATOR_HOST itself, but the session is made before it.
    credentials = (
        _anonymous()
        if os.environ.get(STORAGE_URL)
        else cast(Any, google.auth).default(scopes=storage.Client.SCOPE)[0]
    )
    session = cast(Any, AuthorizedSession)(credentials)
    # Requests keeps ten by default, and opens and closes what is needed beyond.
    adapter = HTTPAdapter(pool_connections=connections, pool_maxsize=connections)
    for scheme in ("https://", "http://"):
        session.mount(scheme, adapter)
    session.configure_mtls_channel()
    return storage.Client(project=None, credentials=credentials, _http=session)


def redirect_beam() -> None:
    """Points what Beam makes by itself at the servers that the environment names.

    Beam builds its own clients: an apitools client of BigQuery, google-cloud-bigquery,
    google-cloud-storage and the Storage Read client. Idempotent; called again after the
    environment has changed it follows, and without an embedded server it undoes the redirection.
    """
    from apache_beam.internal.gcp import auth
    from apache_beam.io.gcp.internal.clients.bigquery import BigqueryV2

    _install_redirections()
    url = os.environ.get(BIGQUERY_URL)
    BigqueryV2.BASE_URL = f"{url.rstrip('/')}/bigquery/v2/" if url else _beam_base_url()
    # Beam keeps the first credentials that it finds for the life of the process.
    cast(Any, auth)._Credentials._credentials_init = False


@functools.cache
def _beam_base_url() -> str:
    from apache_beam.io.gcp.internal.clients.bigquery import BigqueryV2

    return str(BigqueryV2.BASE_URL)


@functools.cache
def _install_redirections() -> None:
    """Replaces, once a process, what has no variable; each replacement asks the environment."""
    _beam_base_url()
    _redirect_storage_read()
    _skip_credentials_lookup()
    _skip_metadata_server()
    _number_batch_parts()


def _redirect_storage_read() -> None:
    """Beam and google-cloud-bigquery construct this client, which knows no endpoint variable."""
    from google.cloud import bigquery_storage_v1

    read_client = cast(Any, bigquery_storage_v1.BigQueryReadClient)
    original = read_client.__init__

    @functools.wraps(original)
    def construct(self: object, *arguments: Any, **keywords: Any) -> None:
        endpoint = os.environ.get(BIGQUERY_STORAGE_ENDPOINT)
        if endpoint and "transport" not in keywords:
            original(self, transport=_plain_text_transport(endpoint))
        else:
            original(self, *arguments, **keywords)

    read_client.__init__ = construct


def _skip_credentials_lookup() -> None:
    """Without credentials every process would lose 25 s to Beam's retries of the lookup."""
    import google.auth

    module = cast(Any, google.auth)
    original = module.default

    @functools.wraps(original)
    def default(*arguments: Any, **keywords: Any) -> Any:
        if is_redirected():
            return _anonymous(), os.environ.get("GOOGLE_CLOUD_PROJECT")
        return original(*arguments, **keywords)

    module.default = default


def _skip_metadata_server() -> None:
    """Beam asks http://metadata for a Dataflow job id before BigQuery jobs, up to 5 s a time."""
    from apache_beam.io.gcp import gce_metadata_util

    original = cast(Any, gce_metadata_util).fetch_dataflow_job_id

    @functools.wraps(original)
    def fetch_dataflow_job_id() -> Any:
        return "" if is_redirected() else original()

    gce_metadata_util.fetch_dataflow_job_id = fetch_dataflow_job_id


def _number_batch_parts() -> None:
    """fake-gcs-server 1.54 skips parts of a batch call that carry no Content-ID.

    The real service accepts parts with and without one (Cloud Storage documentation, "Batch
    requests"); google-cloud-storage 3 sends none, so its batch calls fail on the embedded server.
    """
    from google.cloud.storage import batch

    original = batch.MIMEApplicationHTTP.__init__

    @functools.wraps(original)
    def construct(self: Any, *arguments: Any, **keywords: Any) -> None:
        original(self, *arguments, **keywords)
        if is_redirected():
            self.add_header("Content-ID", f"<part+{id(self)}>")

    batch.MIMEApplicationHTTP.__init__ = construct


def _anonymous() -> AnonymousCredentials:
    from google.auth import credentials

    anonymous: AnonymousCredentials = cast(Any, credentials).AnonymousCredentials()
    return anonymous


if is_redirected():
    redirect_beam()
