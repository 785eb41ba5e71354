"""What Beam is spared changes nothing of what it finds out."""

import copy
import inspect
import pickle
from collections.abc import Callable, Iterator
from typing import Any

import apache_beam as beam
import pytest
from apache_beam.coders import VarIntCoder
from apache_beam.options.pipeline_options import GoogleCloudOptions, StandardOptions
from apache_beam.runners.worker.statesampler import StateSampler
from apache_beam.testing.util import assert_that, equal_to
from apache_beam.transforms import core, userstate
from apache_beam.utils.counters import CounterFactory

from pipeline.beam_shortcuts import ParsedOptions, take_shortcuts


def _options(*flags: str) -> ParsedOptions:
    return ParsedOptions(["--project=p", "--runner=DirectRunner", *flags])


def test_views_are_made_once_and_share_their_values() -> None:
    options = _options()
    cloud = options.view_as(GoogleCloudOptions)
    cloud.temp_location = "gs://b/t"

    assert options.view_as(GoogleCloudOptions) is cloud
    assert (cloud.project, options.view_as(StandardOptions).runner) == ("p", "DirectRunner")
    assert options.get_all_options()["temp_location"] == "gs://b/t"
    # A view of a view is one of the same options.
    assert options.view_as(StandardOptions).view_as(GoogleCloudOptions).temp_location == "gs://b/t"


# With the second, Beam's own state has values of its own.
@pytest.mark.parametrize("flags", [[], ["--impersonate_service_account=a@b.iam"]])
@pytest.mark.parametrize(
    "copied", [copy.deepcopy, lambda options: pickle.loads(pickle.dumps(options))]
)
def test_a_copy_has_the_same_values_and_shares_them_with_its_views(
    copied: Callable[[ParsedOptions], ParsedOptions], flags: list[str]
) -> None:
    options = _options(*flags)
    options.view_as(GoogleCloudOptions).temp_location = "gs://b/t"

    arrived = copied(options)
    arrived.view_as(GoogleCloudOptions).job_name = "j"

    assert arrived.get_all_options()["temp_location"] == "gs://b/t"
    assert arrived.get_all_options()["job_name"] == "j"
    assert options.view_as(GoogleCloudOptions).job_name is None


class _Plain(beam.DoFn):
    def process(self, element: int) -> Iterator[int]:
        yield element


_COUNT = beam.DoFn.StateParam(userstate.ReadModifyWriteStateSpec("count", VarIntCoder()))


class _Counting(beam.DoFn):
    def process(self, element: Any, count: Any = _COUNT) -> Iterator[tuple[str, int]]:
        count.write((count.read() or 0) + 1)
        yield element[0], count.read()


@pytest.mark.parametrize("dofn", [_Plain(), _Counting()])
def test_a_dofn_has_the_state_that_beam_finds(dofn: beam.DoFn) -> None:
    take_shortcuts()
    specs: Any = userstate.get_dofn_specs
    expected = specs.__wrapped__(dofn)

    assert [specs(dofn), specs(dofn)] == [expected, expected]
    assert userstate.is_stateful_dofn(dofn) == isinstance(dofn, _Counting)


@pytest.mark.parametrize(
    "function",
    [_Plain().process, _Counting().process, _Counting().setup, _Counting.process, len, lambda x: x],
)
def test_a_function_has_the_arguments_that_beam_finds(function: Callable[..., Any]) -> None:
    take_shortcuts()
    arguments: Any = core.get_function_args_defaults
    expected = arguments.__wrapped__(function)

    found = arguments(function)
    assert found == expected
    # Nobody can change what the next one gets.
    found[0].clear()
    assert arguments(function) == expected


def test_no_source_is_read_for_a_graph(monkeypatch: pytest.MonkeyPatch) -> None:
    take_shortcuts()
    read: list[Any] = []
    monkeypatch.setattr(inspect, "getsourcelines", read.append)
    with beam.Pipeline("FnApiRunner") as root:
        assert_that(root | beam.Create([1]) | beam.ParDo(_Plain()), equal_to([1]))
    # Beam takes any error of this for a function without a source.
    assert not read


def test_state_works() -> None:
    take_shortcuts()
    with beam.Pipeline("FnApiRunner") as root:
        counts = root | beam.Create([("a", 0), ("a", 0)]) | beam.ParDo(_Counting())
        assert_that(counts, equal_to([("a", 1), ("a", 2)]))


def test_no_bundle_waits_long_for_its_sampler() -> None:
    take_shortcuts()
    assert StateSampler("stage", CounterFactory()).sampling_period_ms <= 10
