"""The training objective: any weighted sum of ``LOSSES``, as written on the command line."""

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from reid.errors import BadInputError
from reid.losses import INPUTS, LOSSES
from reid.options import Value, read_number, read_option


@dataclass(frozen=True)
class LossTerm:
    """One weighted term of the objective, from ``LOSSES``."""

    name: str
    weight: float = 1.0
    options: dict[str, Value] = field(default_factory=dict)

    def __str__(self) -> str:
        """As ``parse_losses`` reads it."""
        options = ((name, int(value) if isinstance(value, bool) else value) for name, value in self.options.items())
        return ",".join([f"{self.name}:{self.weight:g}", *(f"{name}={value}" for name, value in options)])


class Objective(nn.Module):
    """A weighted sum of losses; what they learn of their own is in its parameters.

    Args:
        terms: names in ``LOSSES``, each at most once.
        identities: of the training set.
        dim: length of the features.

    Attributes:
        needs: names of ``INPUTS`` that ``forward`` must be given.
    """

    def __init__(self, terms: tuple[LossTerm, ...], identities: int, dim: int) -> None:
        super().__init__()
        self.learned = nn.ModuleDict()
        self._terms: list[tuple[LossTerm, Callable[..., Tensor], tuple[str, ...]]] = []
        for term in terms:
            loss = LOSSES[term.name]
            if isinstance(loss, type):
                self.learned[term.name] = loss(identities, dim, **term.options)
                self._terms.append((term, self.learned[term.name], inputs_of(loss)))
            else:
                self._terms.append((term, _with(loss, term.options), inputs_of(loss)))
        self.needs = {name for _, _, names in self._terms for name in names}

    def forward(self, inputs: Mapping[str, Any]) -> dict[str, Tensor]:
        """Weighted value of every term by its name; the objective is their sum.

        Args:
            inputs: by the names of ``INPUTS``; those in ``needs`` must be there, and ``labels`` always. Whatever
                the autocast around it, losses compute in the precision of their inputs, at least float32.
        """
        with torch.autocast(inputs["labels"].device.type, enabled=False):  # a rounded matrix product moves margins
            return {
                term.name: term.weight * loss(**{name: inputs[name] for name in names})
                for term, loss, names in self._terms
            }


def inputs_of(loss: Callable[..., Any]) -> tuple[str, ...]:
    """What a loss looks at: names of ``INPUTS``."""
    call = loss.forward if isinstance(loss, type) and issubclass(loss, nn.Module) else loss
    return tuple(name for name in inspect.signature(call).parameters if name in INPUTS)


def parse_losses(text: str) -> tuple[LossTerm, ...]:
    """Read ``cls:1,msml:1,margin=0.3``: terms with weights; ``name=value`` belongs to the term before it.

    >>> parse_losses("cls:1,trihard:0.5,soft=1")[1]
    LossTerm(name='trihard', weight=0.5, options={'soft': True})

    Raises:
        BadInputError: an unknown or repeated loss, an unknown option, or a value that does not fit.
    """
    terms: list[LossTerm] = []
    for part in filter(None, (piece.strip() for piece in text.split(","))):
        name, equals, value = part.partition("=")
        if equals and terms:
            loss = terms[-1].name
            terms[-1].options[name] = read_option(LOSSES[loss], f"--loss: {loss}", name, value)
            continue
        name, _, weight = part.partition(":")
        if name not in LOSSES:
            raise BadInputError(f"--loss: {name!r} is unknown; choose from {', '.join(LOSSES)}")
        if name in {term.name for term in terms}:
            raise BadInputError(f"--loss: {name!r} is there twice; give it one weight")
        terms.append(LossTerm(name, read_number(weight or "1", f"--loss: the weight of {name}")))
    if not terms:
        raise BadInputError("--loss is empty; write for example cls:1,trihard:1")
    return tuple(terms)


def _with(loss: Callable[..., Tensor], options: dict[str, Value]) -> Callable[..., Tensor]:
    return lambda **inputs: loss(**inputs, **options)
