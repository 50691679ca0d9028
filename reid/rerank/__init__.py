"""Re-ranking: distances of queries to a gallery that look at the whole gallery, one method a file.

A re-ranking takes query (q, d) and gallery (g, d) vectors and gives (b, g) float32 blocks of distances of consecutive
queries, smaller is more alike, so that no q x g array need exist. Its parameters with a default are its options, the
papers' values, settable from the command line; ``memory_bytes`` bounds what it uses beyond its arguments. Unit vectors
are expected. Junk and distractors stay in the gallery while it is re-ranked, and distances of different galleries do
not compare.

To add one, write its module in this folder and a line in ``RERANKERS``: the command's choices and the contract tests
iterate this dict.
"""

from collections.abc import Callable, Iterator

from reid.rerank.diffusion import smoothed_manifold
from reid.rerank.expansion import query_expansion
from reid.rerank.k_reciprocal import k_reciprocal_blocks
from reid.rerank.neighbours import Float32
from reid.rerank.top import k_reciprocal_top

RERANKERS: dict[str, Callable[..., Iterator[Float32]]] = {
    "k_reciprocal": k_reciprocal_blocks,
    "k_reciprocal_top": k_reciprocal_top,
    "query_expansion": query_expansion,
    "smoothed_manifold": smoothed_manifold,
}
