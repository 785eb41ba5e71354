"""Columns of URIs: which objects are fetched, when, and what becomes of rows without theirs."""

import json
import threading
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import saved_models
from hypothesis import given, settings
from hypothesis import strategies as st
from image_samples import encoded
from scorers import ID, batch_of, scoring_spec, ticking_clock

from scoring.batch import ScoredBatch, Scorer
from scoring.conversions import Values
from scoring.errors import BatchCallError, ColumnError, FetchError
from scoring.examples import ExampleFeature, ParsedFeatures
from scoring.feeding import FeedOptions
from scoring.grouping import grouping_warnings
from scoring.matching import match_inputs
from scoring.objects import ObjectError, ObjectField, ObjectReader, split_uri
from scoring.rejects import REJECT_CODES
from scoring.schema import Field, arrow_schema
from scoring.signature import Signature, TensorSpec
from scoring.spec import ScoringSpec

URI = Field("uri", "STRING")
COLUMNS = [ID, URI]
IMAGE = TensorSpec("image", "uint8", (None, 2, 3, 1))
DATA = TensorSpec("data", "string", (None,))


@dataclass
class Bucket:
    """Objects by name, and how often each URI was asked for."""

    contents: Mapping[str, bytes]
    asked: Counter[str] = field(default_factory=Counter)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def fetch(self, uri: str) -> bytes:
        with self.lock:
            self.asked[uri] += 1
        _, name = split_uri(uri)
        if name == "weather":
            raise FetchError(f"The object {uri} did not come.")
        if name not in self.contents:
            raise ObjectError("OBJECT_NOT_FOUND", "there is no such object")
        return self.contents[name]


class Everything(Mapping[str, bytes]):
    """Any object has `size` bytes, the same ones."""

    def __init__(self, size: int) -> None:
        self._content = bytes(size)

    def __getitem__(self, name: str) -> bytes:
        return self._content

    def __iter__(self) -> Any:
        return iter(())

    def __len__(self) -> int:
        return 0

    def __contains__(self, name: object) -> bool:
        return True


class Echo:
    """data -> same: the bytes; one call fails for good with b"bad" among them."""

    def __call__(self, feed: Mapping[str, Values]) -> dict[str, Values]:
        if b"bad" in feed["data"]:
            raise BatchCallError("CALL_FAILED", "bad bytes")
        return {"same": feed["data"]}


@dataclass(frozen=True)
class Scored:
    """What became of a batch."""

    outcomes: list[ScoredBatch]

    @property
    def rows(self) -> list[dict[str, Any]]:
        return [r for o in self.outcomes if o.scored is not None for r in o.scored.to_pylist()]

    @property
    def rejects(self) -> dict[int, dict[str, Any]]:
        rows = [r for o in self.outcomes if o.rejected is not None for r in o.rejected.to_pylist()]
        by_id = {r["key"]["id"]: r for r in rows}
        assert len(by_id) == len(rows)
        return by_id

    @property
    def codes(self) -> dict[int, str]:
        return {i: r["code"] for i, r in self.rejects.items()}


def matched(spec: TensorSpec, columns: Sequence[Field] = COLUMNS, **options: Any) -> Any:
    """The binding of a signature's only input."""
    chosen, reserved = options.pop("chosen", {}), options.pop("reserved", ["id"])
    (binding,) = match_inputs(
        Signature("serving_default", (spec,), ()),
        columns,
        chosen=chosen,
        reserved=reserved,
        options=FeedOptions(**options),
    )
    return binding


def uri_spec(loaded: Any, builder: Any, **options: Any) -> ScoringSpec:
    """A spec whose input is fed with the objects; the URIs are carried to the output."""
    signature = loaded(builder).signature
    inputs = (matched(signature.inputs[0], uri_columns=("uri",), **options),)
    return scoring_spec(signature, COLUMNS, inputs=inputs, carried=(ID, URI))


def score(spec: ScoringSpec, model: Any, bucket: Bucket, uris: Sequence[str | None]) -> Scored:
    batch = batch_of(COLUMNS, uri=uris)
    return Scored(list(Scorer(spec, model, ticking_clock(), bucket.fetch).score(batch)))


def uri(name: object) -> str:
    return f"gs://bucket/{name}"


def test_images_are_fetched_and_rows_without_one_are_rejected(loaded: Any) -> None:
    images = [encoded(np.full((2, 3), level, np.uint8)) for level in (1, 10, 40)]
    bucket = Bucket({str(i): image for i, image in enumerate(images)} | {"text": b"text"})
    uris = [uri(2), None, uri(0), uri("none"), "https://bucket/0", uri("text"), uri(2), uri(1)]
    model = loaded(saved_models.images)
    spec = uri_spec(loaded, saved_models.images)

    scored = score(spec, model, bucket, uris)

    assert [(r["id"], r["uri"], r["brightness"]) for r in scored.rows] == [
        (0, uri(2), 240.0),
        (2, uri(0), 6.0),
        (6, uri(2), 240.0),
        (7, uri(1), 60.0),
    ]
    assert scored.codes == {
        1: "NULL_VALUE",
        3: "OBJECT_NOT_FOUND",
        4: "URI_NOT_VALID",
        5: "NOT_AN_IMAGE",
    }
    assert set(scored.codes.values()) <= set(REJECT_CODES)
    assert {r["stage"] for r in scored.rejects.values()} == {"feed"}
    assert [json.loads(scored.rejects[i]["row"]) for i in (1, 3, 5)] == [
        {"uri": uris[i]} for i in (1, 3, 5)
    ]
    assert scored.rejects[3]["message"] == (
        "column 'uri' holds 'gs://bucket/none': there is no such object"
    )
    assert "column 'uri' is not an image" in scored.rejects[5]["message"]
    # A URI that cannot be one is never asked for, and one of two rows once.
    assert bucket.asked == Counter([uri(0), uri(1), uri(2), uri("none"), uri("text")])
    fetched = sum(len(bucket.contents[n]) for n in ("0", "1", "2", "text"))
    assert sum(o.objects_fetched for o in scored.outcomes) == 4
    assert sum(o.object_bytes for o in scored.outcomes) == fetched
    assert sum(o.fetch_seconds for o in scored.outcomes) == 1


NAMES = st.sampled_from(["a", "b", "bad", "none", "", None])
CONTENTS = {"a": b"A", "b": b"", "bad": b"bad"}
CODES = {"bad": "CALL_FAILED", "none": "OBJECT_NOT_FOUND", "": "URI_NOT_VALID", None: "NULL_VALUE"}


@settings(deadline=None, max_examples=40)
@given(names=st.lists(NAMES, max_size=150))
def test_every_row_gets_its_own_object_or_its_own_reject(
    loaded: Any, names: list[str | None]
) -> None:
    uris = [None if name is None else uri(name) for name in names]
    spec = uri_spec(loaded, saved_models.echoed_bytes)
    scored = score(spec, Echo(), Bucket(CONTENTS), uris)
    assert scored.codes == {i: CODES[n] for i, n in enumerate(names) if n in CODES}
    assert [(r["id"], r["uri"], r["same"]) for r in scored.rows] == [
        (i, uri(n), CONTENTS[n].decode())
        for i, n in enumerate(names)
        if n is not None and n not in CODES
    ]


def test_rows_that_share_an_object_share_one_fetch(loaded: Any) -> None:
    bucket = Bucket({"a": b"A"})
    spec = uri_spec(loaded, saved_models.echoed_bytes)
    scored = score(spec, Echo(), bucket, [uri("a")] * 200)
    assert len(scored.rows) == 200
    assert bucket.asked == {uri("a"): 1}
    assert sum(o.objects_fetched for o in scored.outcomes) == 1


@pytest.mark.parametrize(
    ("size", "rows", "ahead"), [(1, 64, 64), (2**20, 16, 64), (2**23, 2, 32), (2**25, 1, 8)]
)
def test_what_is_held_is_bounded_by_rows_and_by_bytes(size: int, rows: int, ahead: int) -> None:
    bucket = Bucket(Everything(size))
    reader = ObjectReader([ObjectField.at(URI)], bucket.fetch, ticking_clock().seconds)
    parts = reader.fetched(batch_of(COLUMNS, uri=[uri(i) for i in range(1000)]))
    first = next(parts)
    assert first.rows.num_rows == first.batch.num_rows == rows
    assert (first.objects, first.object_bytes) == (rows, rows * size)
    assert sum(bucket.asked.values()) <= rows + ahead
    parts.close()


@pytest.mark.parametrize(("fixed", "rows"), [(1, 64), (48, 48), (20, 60), (100, 100)])
def test_rows_come_in_multiples_of_a_fixed_batch_size(fixed: int, rows: int) -> None:
    bucket = Bucket(Everything(1))
    reader = ObjectReader([ObjectField.at(URI)], bucket.fetch, ticking_clock().seconds, fixed)
    parts = reader.fetched(batch_of(COLUMNS, uri=[uri(i) for i in range(150)]))
    assert [part.rows.num_rows for part in parts] == [rows] * (150 // rows) + [150 % rows]


def test_the_next_objects_are_on_their_way_while_the_model_is_called(loaded: Any) -> None:
    is_asked = threading.Event()

    def fetch(uri: str) -> bytes:
        if uri.endswith("/100"):
            is_asked.set()
        return b"A"

    def model(feed: Mapping[str, Values]) -> dict[str, Values]:
        assert is_asked.wait(timeout=60)
        return {"same": feed["data"]}

    spec = uri_spec(loaded, saved_models.echoed_bytes)
    batch = batch_of(COLUMNS, uri=[uri(i) for i in range(101)])
    scorer = Scorer(spec, model, ticking_clock(), fetch, first_call_rows=1024)
    outcomes = list(scorer.score(batch))
    assert [o.scored.num_rows for o in outcomes if o.scored is not None] == [64, 37]


def test_an_object_that_did_not_come_rejects_nothing(loaded: Any) -> None:
    bucket = Bucket({"a": b"A"})
    spec = uri_spec(loaded, saved_models.echoed_bytes)
    with pytest.raises(FetchError, match="gs://bucket/weather did not come"):
        score(spec, Echo(), bucket, [uri("a"), uri("weather"), *[uri("a")] * 3])


def test_objects_without_a_way_to_fetch_them_are_a_mistake(loaded: Any) -> None:
    spec = uri_spec(loaded, saved_models.echoed_bytes)
    with pytest.raises(ValueError, match="nothing fetches the objects that uri names"):
        Scorer(spec, Echo(), ticking_clock())


def test_a_batch_without_rows_needs_no_columns(loaded: Any) -> None:
    spec = uri_spec(loaded, saved_models.echoed_bytes)
    scorer = Scorer(spec, Echo(), ticking_clock(), Bucket({}).fetch)
    assert list(scorer.score(pa.record_batch({}))) == []


def test_a_null_uri_can_count_as_the_empty_text(loaded: Any) -> None:
    spec = uri_spec(loaded, saved_models.echoed_bytes, on_null="default")
    scored = score(spec, Echo(), Bucket({"a": b"A"}), [None, uri("a"), uri("none")])
    assert {r["id"]: r["same"] for r in scored.rows} == {0: "", 1: "A"}
    assert scored.codes == {2: "OBJECT_NOT_FOUND"}
    assert sum(o.defaulted_rows for o in scored.outcomes) == 1


def test_the_probe_of_grouping_fetches_too(loaded: Any) -> None:
    spec = uri_spec(loaded, saved_models.echoed_bytes)
    batch = batch_of(COLUMNS, uri=[uri("a"), uri("none"), uri("b")])
    bucket = Bucket({"a": b"A", "b": b"B"})
    assert grouping_warnings(spec, Echo(), ticking_clock(), batch, bucket.fetch) == ()


def test_a_string_column_of_an_image_input_holds_uris() -> None:
    binding = matched(IMAGE)
    assert binding.columns == (ObjectField.at(URI),)
    assert binding.columns[0].top == URI
    assert binding.columns[0].sql_type == "STRING of URIs"
    assert binding.rule == "the bytes of the object at the URI, decoded, stretch to 3 x 2, RGB"


def test_a_string_column_of_a_string_input_holds_uris_if_it_is_named() -> None:
    assert matched(DATA).columns == (URI,)
    binding = matched(DATA, uri_columns=("URI",))
    assert binding.columns == (ObjectField.at(URI),)
    assert binding.rule == "the bytes of the object at the URI, as they are"


def test_a_named_column_of_uris_feeds_the_input_even_where_it_is_the_key() -> None:
    columns = [URI, Field("size", "INTEGER"), Field("kind", "STRING")]
    binding = matched(IMAGE, columns, uri_columns=("uri",), reserved=["uri"])
    assert binding.columns == (ObjectField.at(URI),)


def test_uris_may_lie_within_a_struct() -> None:
    photo = Field("photo", "RECORD", fields=(Field("uri", "STRING"),))
    binding = matched(DATA, [photo], chosen={"data": "photo.uri"}, uri_columns=("photo.uri",))
    (column,) = binding.columns
    assert (column.name, column.top) == ("photo.uri", photo)
    values = pa.array([{"uri": uri("a")}, None], photo.arrow_type)
    batch = pa.record_batch([values], schema=arrow_schema([photo]))
    reader = ObjectReader([column], Bucket({"a": b"A"}).fetch, ticking_clock().seconds)
    (part,) = reader.fetched(batch)
    assert part.faults == []
    assert binding.feed(part.rows).values.tolist() == [b"A", b""]


def test_stacks_and_examples_take_objects_beside_values() -> None:
    columns = [URI, Field("name", "STRING")]
    pair = TensorSpec("pair", "string", (None, 2))
    stack = matched(pair, columns, chosen={"pair": ("uri", "name")}, uri_columns=("uri",))
    features = tuple(ExampleFeature(c.name, "string") for c in columns)
    parsed = ParsedFeatures("ParseExample", features)
    example = matched(DATA, columns, examples=parsed, uri_columns=("uri",), reserved=[])
    assert set(stack.columns) == set(example.columns) == {ObjectField.at(URI), columns[1]}

    batch = pa.record_batch([[uri("a")], ["n"]], schema=arrow_schema(columns))
    bucket = Bucket({"a": b"\xff\x00"})
    (part,) = ObjectReader([ObjectField.at(URI)], bucket.fetch, lambda: 0.0).fetched(batch)
    assert stack.feed(part.rows).values.tolist() == [[b"\xff\x00", b"n"]]
    assert b"\xff\x00" in example.feed(part.rows).values[0]


def test_the_objects_of_two_columns_belong_to_their_rows() -> None:
    columns = [Field("left", "STRING"), Field("right", "STRING")]
    batch = pa.record_batch(
        [
            [uri(i) if i != 5 else uri("none") for i in range(150)],
            [uri(149 - i) if i != 5 else "" for i in range(150)],
        ],
        schema=arrow_schema(columns),
    )
    bucket = Bucket({str(i): str(i).encode() for i in range(150)})
    left, right = fields = [ObjectField.at(c) for c in columns]
    parts = list(ObjectReader(fields, bucket.fetch, lambda: 0.0).fetched(batch))
    assert [f.message for p in parts for f in p.faults] == [
        "column 'left' holds 'gs://bucket/none': there is no such object"
    ]
    kept = [i for i in range(150) if i != 5]
    assert [v for p in parts for v in left.values(p.rows).to_pylist()] == [b"%d" % i for i in kept]
    assert [v for p in parts for v in right.values(p.rows).to_pylist()] == [
        b"%d" % (149 - i) for i in kept
    ]


@pytest.mark.parametrize(
    ("columns", "options", "message"),
    [
        (
            COLUMNS,
            {"uri_columns": ("url",)},
            "--uri_columns names column 'url', which the source does not have. Its columns are: "
            "id, uri.",
        ),
        (
            COLUMNS,
            {"uri_columns": ("id",)},
            "--uri_columns names column 'id' (INT64); expected a STRING column, which has one URI "
            "a row. Make one with --input_query.",
        ),
        (
            [ID, Field("uris", "STRING", "REPEATED")],
            {"uri_columns": ("uris",)},
            "--uri_columns names column 'uris' (ARRAY<STRING>); expected a STRING column, which "
            "has one URI a row. Make one with --input_query.",
        ),
        (
            [Field("data", "STRING"), URI],
            {"uri_columns": ("uri",)},
            "--uri_columns names column 'uri', which feeds no input. Say which one, "
            "--input_columns INPUT=uri, or leave the column out of --uri_columns.",
        ),
        (
            COLUMNS,
            {"uri_columns": ("uri",), "defaults": {"data": "x"}},
            "--default_values names input data: string[None], which column 'uri' feeds with "
            "objects, and no value stands for an object. Leave the input out.",
        ),
    ],
)
def test_columns_that_cannot_be_of_uris(
    columns: list[Field], options: dict[str, Any], message: str
) -> None:
    with pytest.raises(ColumnError) as caught:
        matched(DATA, columns, **options)
    assert str(caught.value) == message


@pytest.mark.parametrize(
    ("spec", "options", "problem"),
    [
        (
            TensorSpec("x", "float32", (None,)),
            {"uri_columns": ("uri",)},
            "input x: float32[None] from column 'uri' (STRING of URIs): objects feed images "
            "[batch, height, width, 3 or 1] and string inputs",
        ),
        (
            TensorSpec("x", "float32", (None, None, None, 3)),
            {"uri_columns": ("uri",)},
            "objects feed images [batch, height, width, 3 or 1] and string inputs; for images "
            "state their size, --input_shapes x=[HEIGHT,WIDTH,3]",
        ),
        (
            TensorSpec("x", "float32", (None, None, None, 3)),
            {},
            "(STRING): no conversion from STRING to float32 keeps the values; for images state "
            "their size, --input_shapes x=[HEIGHT,WIDTH,3]",
        ),
    ],
)
def test_inputs_that_take_no_objects(
    spec: TensorSpec, options: dict[str, Any], problem: str
) -> None:
    with pytest.raises(ColumnError) as caught:
        matched(spec, **options)
    assert str(caught.value).endswith(problem)


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("gs://b/o", ("b", "o")),
        ("gs://my-bucket.example_1/a/b c/d#1?.png", ("my-bucket.example_1", "a/b c/d#1?.png")),
        ("gs://b//o\n", ("b", "/o\n")),
    ],
)
def test_a_uri_is_a_bucket_and_a_name(text: str, parts: tuple[str, str]) -> None:
    assert split_uri(text) == parts


@pytest.mark.parametrize(
    "text", ["", "gs://", "gs://b", "gs://b/", "gs:///o", "gs://-b/o", "gs://b c/o", " gs://b/o"]
)
def test_other_texts_are_no_uris(text: str) -> None:
    with pytest.raises(ObjectError) as caught:
        split_uri(text)
    assert caught.value.code == "URI_NOT_VALID"
