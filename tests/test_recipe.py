"""The named recipes: what they promise of the networks that are trained by them."""

import pytest

from reid.errors import BadInputError
from reid.model import EmbeddingModel
from reid.objective import parse_losses
from reid.recipe import RECIPES, describe, named_recipe


@pytest.mark.parametrize(("name", "millions"), [("edge", 0.35), ("standard", 2.5)])
def test_shipped_sizes(name, millions):
    recipe = RECIPES[name]
    model = EmbeddingModel(recipe.backbone, recipe.dim, 0, recipe.schedule[-1][0], recipe.pool, recipe.head)
    assert sum(parameter.numel() for parameter in model.parameters()) <= millions * 1e6


def test_edge_can_learn_standards_vectors():
    assert RECIPES["edge"].dim == RECIPES["standard"].dim


def test_an_unknown_recipe():
    with pytest.raises(BadInputError, match="'huge' is unknown; choose one of standard, edge, large"):
        named_recipe("huge")


@pytest.mark.parametrize("name", RECIPES)
def test_a_recipe_says_all_of_itself(name):
    said = describe(RECIPES[name])
    assert f"backbone={RECIPES[name].backbone}" in said
    assert "\n" not in said
    (losses,) = [part.partition("=")[2] for part in said.split(" ") if part.startswith("losses=")]
    assert parse_losses(losses) == RECIPES[name].losses
