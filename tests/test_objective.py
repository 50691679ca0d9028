import pytest
import torch

from reid.errors import BadInputError
from reid.losses import INPUTS, LOSSES
from reid.losses.classification import classification
from reid.losses.trihard import trihard
from reid.objective import LossTerm, Objective, inputs_of, parse_losses
from reid.options import options_of

every = pytest.mark.parametrize("name", LOSSES)


def test_terms_weights_and_options():
    terms = parse_losses("cls, trihard:2,margin=0.5,soft=0")
    assert terms == (LossTerm("cls"), LossTerm("trihard", 2.0, {"margin": 0.5, "soft": False}))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "empty"),
        ("tripple:1", "choose from cls"),
        ("cls:x", "weight of cls is 'x'; write a finite"),
        ("cls:nan", "write a finite"),
        ("cls:1,cls:2", "twice"),
        ("trihard,margim=1", "no option 'margim'; it has margin"),
        ("trihard,margin=wide", "write a finite"),
        ("trihard,soft=2", "0 or 1"),
        ("margin=1", "unknown"),
    ],
)
def test_mistakes_are_named(text, said):
    with pytest.raises(BadInputError, match=said):
        parse_losses(text)


@every
def test_every_loss_names_its_inputs_and_options(name):
    assert inputs_of(LOSSES[name])
    needed = set(inputs_of(LOSSES[name])) - set(INPUTS)
    assert not needed
    for option, default in options_of(LOSSES[name]).items():
        if isinstance(default, bool | int | float):
            text = f"{name}:1,{option}={float(default):g}"
            assert parse_losses(text)[0].options == {option: default}


def test_the_objective_is_the_weighted_sum():
    inputs = {
        "features": torch.randn(8, 4, generator=torch.Generator().manual_seed(0)),
        "logits": torch.randn(8, 3, generator=torch.Generator().manual_seed(1)),
        "labels": torch.tensor([0, 0, 1, 1, 2, 2, 0, 1]),
    }
    objective = Objective(parse_losses("cls:0.5,trihard:2,margin=1"), 3, 4)
    assert objective.needs == {"features", "logits", "labels"}
    values = objective(inputs)
    assert float(values["cls"]) == pytest.approx(0.5 * float(classification(inputs["logits"], inputs["labels"])))
    assert float(values["trihard"]) == pytest.approx(
        2 * float(trihard(inputs["features"], inputs["labels"], margin=1.0))
    )
