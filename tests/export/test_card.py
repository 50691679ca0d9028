"""What a file says of its form: read back, absent in files of before, refused where it makes no sense."""

from dataclasses import replace

import numpy as np
import onnx
import pytest

from export.forms import fix_batch, swap_colours
from reid.embed import EMBEDDERS, Card, Embedder
from reid.errors import ModelError
from tests.helpers import CARD, colour_embedder

NEW = ("precision", "colour", "batch", "model_id")


@pytest.mark.parametrize("card", [CARD, replace(CARD, precision="int8", colour="bgr", batch=16)])
def test_a_card_is_read_as_it_was_written(card):
    assert Card.from_metadata(card.to_metadata()) == card


def test_a_file_of_before_is_float32_rgb_and_takes_any_batch():
    old = {key: value for key, value in CARD.to_metadata().items() if key.rpartition(".")[2] not in NEW}
    assert len(old) == len(CARD.to_metadata()) - len(NEW)
    card = Card.from_metadata(old)
    assert (card.precision, card.colour, card.batch) == ("fp32", "rgb", 0)


def test_the_model_id_in_the_file_is_that_of_its_weights():
    card = Embedder("edge", "cpu").card
    assert (
        replace(card, precision="int8").network_id == card.network_id == f"{card.backbone}-{card.weights_sha256[:12]}"
    )
    assert card.to_metadata()["reidtrack.model_id"] == card.network_id


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("precision", "fp8", "precision 'fp8', expected fp32 or fp16 or int8"),
        ("colour", "grey", "colour 'grey', expected rgb or bgr"),
        ("batch", "0", "batch '0', expected dynamic or a count"),
        ("batch", "few", "batch 'few', expected dynamic or a count"),
    ],
)
def test_a_form_that_makes_no_sense_is_refused(tmp_path, key, value, message):
    path = colour_embedder(tmp_path / "a.onnx", metadata=CARD.to_metadata() | {f"reidtrack.{key}": value})
    with pytest.raises(ModelError, match=message):
        Embedder(path, "cpu")


@pytest.mark.parametrize("count", [1, 3, 7])
def test_an_embedder_follows_its_files_colour_order_and_batch(tmp_path, count):
    """The vectors are those of the file that takes RGB and any batch, whatever the batch that is asked for."""
    plain = Embedder(colour_embedder(tmp_path / "plain.onnx"), "cpu")
    graph = fix_batch(swap_colours(onnx.load(plain.path), axis=3), 3)
    onnx.helper.set_model_props(graph, replace(CARD, colour="bgr", batch=3).to_metadata())
    onnx.save(graph, tmp_path / "other.onnx")
    crops = [np.random.default_rng(i).integers(0, 256, (9, 5, 3), np.uint8) for i in range(count)]
    vectors = Embedder(tmp_path / "other.onnx", "cpu")(crops, batch=2)
    # the swapped graph turns BGR back into RGB, so the vector is of the same colour
    assert vectors == pytest.approx(plain(crops), abs=1e-6)


def test_the_shipped_embedders_are_of_the_default_form():
    for name in EMBEDDERS:
        card = Embedder(name, "cpu").card
        assert (card.precision, card.colour, card.batch) == ("fp32", "rgb", 0)
