"""What the embedded BigQuery asks itself when it has started: answered, and without a trace."""

from __future__ import annotations

import json
import urllib.error
import urllib.request

from google.cloud import bigquery

from pipeline.local import bigquery_server
from pipeline.local.servers import LocalCloud


def _status(cloud: LocalCloud, method: str, path: str, body: object) -> int:
    request = urllib.request.Request(
        cloud.bigquery_url + path,
        data=json.dumps(body).encode() if body else None,
        headers={"Content-Type": "application/json"},
        method=method,
    )
    try:
        with urllib.request.urlopen(request) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        return error.code


def test_it_goes_past_all_routes_and_translates_a_query(
    cloud: LocalCloud, client: bigquery.Client
) -> None:
    requests = bigquery_server._WARMING_REQUESTS
    assert [_status(cloud, *request) for request in requests] == [404, 200]
    assert not list(client.list_jobs(project=bigquery_server.WARMING_PROJECT))
    assert not list(client.list_datasets(project=bigquery_server.WARMING_PROJECT))
