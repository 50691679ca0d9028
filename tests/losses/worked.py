"""Worked numbers, computed once by an independent float64 numpy implementation of every formula."""

import json
from pathlib import Path

import torch

WORKED = json.loads(Path(__file__).with_name("worked_values.json").read_text())
BATCHES = ("A", "B", "C", "Cn")  # Cn is C with unit rows


def batch(name):
    """(n, d) float64 features and (n,) labels of a worked batch."""
    return torch.tensor(WORKED[name]["X"], dtype=torch.float64), torch.tensor(WORKED[name]["Y"])
