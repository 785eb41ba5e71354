"""Objects that URIs name while Cloud Storage fails: they come, or nothing is said of their rows."""

from __future__ import annotations

from collections.abc import Iterator

import hurry
import pytest
from fault_plan import FOREVER, Fault, Kind, Point, Service
from faulty_cloud import FaultyCloud

from scoring.errors import FetchError
from scoring.objects import ObjectError
from transforms.clients import storage_client
from transforms.objects import object_fetcher

_CONTENT = bytes(range(256)) * 400
_POINT = Point("object", Service.STORAGE, "GET", path="some_image")


@pytest.fixture
def uri(faulty: FaultyCloud) -> Iterator[str]:
    """An object of 100 KB."""
    faulty.switch.arm(None)
    client = storage_client(1)
    client.bucket(faulty.cloud.bucket).blob("some_image").upload_from_string(_CONTENT)
    yield f"gs://{faulty.cloud.bucket}/some_image"
    client.close()


@pytest.mark.parametrize(
    "kind",
    [
        Kind.STATUS_429,
        Kind.STATUS_500,
        Kind.STATUS_502,
        Kind.STATUS_503,
        Kind.STATUS_504,
        Kind.DROP,
        Kind.RESET,
        Kind.CUT,
        Kind.HANG,
    ],
    ids=str,
)
def test_an_object_comes_after_what_passes(faulty: FaultyCloud, uri: str, kind: Kind) -> None:
    faulty.switch.arm(Fault(kind, _POINT, times=2))
    with hurry.hurried_sleeps(), hurry.hurried_timeouts():
        assert object_fetcher()(uri) == _CONTENT
    assert faulty.switch.happened == 2


def test_an_outage_is_no_property_of_the_object(faulty: FaultyCloud, uri: str) -> None:
    faulty.switch.arm(Fault(Kind.OUTAGE, _POINT, times=FOREVER))
    with (
        hurry.hurried_sleeps(),
        hurry.hurried_timeouts(),
        pytest.raises(FetchError, match=f"^The object {uri} did not come: .*503.*same attempt"),
    ):
        object_fetcher()(uri)
    assert faulty.switch.happened > 3


def test_an_object_that_may_not_be_read_is_asked_for_once(faulty: FaultyCloud, uri: str) -> None:
    faulty.switch.arm(Fault(Kind.DENIED, _POINT, times=FOREVER))
    with pytest.raises(ObjectError) as caught:
        object_fetcher()(uri)
    assert caught.value.code == "OBJECT_UNREADABLE"
    assert str(caught.value) == "the object cannot be read: 403 Permission denied by the test"
    assert faulty.switch.happened == 1
