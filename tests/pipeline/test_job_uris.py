"""Rows that name objects on Cloud Storage instead of holding them, through the whole pipeline."""

import io
import re
from pathlib import Path
from typing import Any

import pyarrow as pa
import saved_models
import tensorflow as tf
from PIL import Image
from workbench import Saved, Workbench

from pipeline import cli

_BAD = {7: "NOT_AN_IMAGE", 11: "OBJECT_NOT_FOUND", 13: "NULL_VALUE", 17: "URI_NOT_VALID"}


def reddish(folder: Path) -> Path:
    """Images [None, 8, 8, 3] -> the mean of their red channel."""

    @tf.function(input_signature=[tf.TensorSpec([None, 8, 8, 3], tf.float32, "image")])
    def serve(image: Any) -> dict[str, Any]:
        return {"red": tf.reduce_mean(image[..., 0], axis=[1, 2])}

    module = tf.Module()
    module.serve = serve
    tf.saved_model.save(module, str(folder), signatures={"serving_default": serve})
    return folder


def _png(red: int) -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (16, 12), (red, 0, 0)).save(file, "PNG")
    return file.getvalue()


def _image_uris(bench: Workbench) -> list[str | None]:
    """Those of 40 images, the red ones of `_png(5 * i)`, and some that are none."""
    uris: list[str | None] = []
    for i in range(40):
        uris.append(bench.upload(f"{i} ä#%.png", b"broken" if i == 7 else _png(5 * i)))
    uris[11] = f"{uris[11]}x"
    uris[13] = None
    uris[17] = "https://example.com/17.png"
    return uris


def test_images_behind_uris_are_fetched_and_what_is_no_image_is_rejected(
    bench: Workbench, saved: Saved
) -> None:
    uris = _image_uris(bench)
    bench.load("t", pa.table({"id": range(40), "uri": pa.array(uris, pa.string())}))

    outcome = bench.score(
        saved(reddish),
        "--key_columns=id",
        "--passthrough_columns=uri",
        "--input_columns=image=uri",
        "--max_rejected_fraction=0.1",
    )

    assert outcome.code == cli.OK, outcome.stderr
    assert {r["id"]: r["code"] for r in bench.rejects()} == _BAD
    assert {r["message"] for r in bench.rejects() if r["id"] in (11, 17)} == {
        f"column 'uri' holds '{uris[11]}': there is no such object",
        "column 'uri' holds 'https://example.com/17.png': expected an object's URI, "
        "gs://BUCKET/OBJECT",
    }
    shown = {row["key"]["id"]: row["row"] for row in bench.arrow("p__rejects").to_pylist()}
    assert shown[17] == '{"uri": "https://example.com/17.png"}'
    rows = bench.rows()
    assert [row["id"] for row in rows] == [i for i in range(40) if i not in _BAD]
    for row in rows:
        assert row["uri"] == uris[row["id"]]
        assert abs(row["red"] - row["id"] * 5 / 255) < 1e-6
    assert re.search(r"^objects fetched +37, 0\.0 MB$", outcome.stdout, re.MULTILINE)
    assert "time waiting for objects" in outcome.stdout


def test_the_check_fetches_and_names_what_keeps_every_row_from_being_scored(
    bench: Workbench, saved: Saved
) -> None:
    uris = [bench.upload("1.png", _png(255)), bench.upload("2.png", _png(51))]
    bench.load("t", pa.table({"id": [1, 2], "image": uris}))
    checked = bench.check(saved(reddish), "--key_columns=id")
    assert checked.code == cli.OK, checked.stderr
    assert "Checked with rows: 2 scored, none rejected." in checked.stdout
    assert (
        "STRING of URIs  the bytes of the object at the URI, decoded, stretch to 8 x 8, RGB"
        in checked.stdout
    )

    bench.load("gone", pa.table({"id": [1, 2], "image": [f"{uri}.bak" for uri in uris]}))
    bench.check(
        saved(reddish), "--key_columns=id", f"--input_table={bench.name('gone')}"
    ).refused_with(
        "Not one of the first 2 rows can be scored. The first: OBJECT_NOT_FOUND, column 'image' "
        f"holds '{uris[0]}.bak': there is no such object."
    )


def test_a_model_that_takes_bytes_gets_those_of_the_objects(bench: Workbench, saved: Saved) -> None:
    contents = [b"", b"\x00\xff", b"the same", b"the same"]
    uris = [bench.upload(f"{len(content)}", content) for content in contents]
    bench.load("t", pa.table({"id": range(4), "data": uris}))

    outcome = bench.score(
        saved(saved_models.echoed_bytes),
        "--key_columns=id",
        "--uri_columns=Data",
        "--max_rejected_fraction=0.5",
    )

    assert outcome.code == cli.OK, outcome.stderr
    assert bench.rows() == [
        {"id": 0, "same": ""},
        {"id": 2, "same": "the same"},
        {"id": 3, "same": "the same"},
    ]
    (reject,) = bench.rejects()
    assert (reject["id"], reject["code"]) == (1, "OUTPUT_NOT_UTF8")
