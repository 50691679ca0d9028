"""The vectors nearest to some: exactly where there are few to compare with, through an index where there are many.

The index is LanceDB's IVF_HNSW_SQ, made when a library reaches ``INDEXED`` vectors. Searches filter before they look
for neighbours, and what the index finds is compared again with the full vectors. A filter that leaves few is searched
exactly, which is quicker and misses nothing.
"""

from datetime import timedelta
from typing import Any

import pyarrow as pa

from tracker.types import Floats

INDEXED = 100_000  # vectors from which on there is an index
FEW = 20_000  # that pass a filter: compared one by one, index or none
REFINED = 10  # times as many as asked for are compared with full vectors
LONGEST = timedelta(hours=6)  # that making the index may take


def nearest(table: Any, vectors: Floats, where: str, k: int) -> pa.Table:
    """Rows of ``table`` nearest to any of some vectors, without repeats.

    Args:
        table: with a column ``vector`` of unit vectors.
        vectors: (m, d) unit vectors.
        where: condition that rows meet, in SQL; "" for all.
        k: rows for each vector, at least 1.

    Returns:
        The table's columns, in no particular order.
    """
    exact = not _indices(table) or table.count_rows(where or None) <= FEW
    found = []
    for vector in vectors:
        search = table.search(vector, vector_column_name="vector").distance_type("cosine").limit(k).with_row_id(True)
        if where:
            search = search.where(where, prefilter=True)
        search = search.bypass_vector_index() if exact else search.refine_factor(REFINED)
        found.append(search.to_arrow().drop_columns(["_distance"]))
    rows = pa.concat_tables(found)
    first = list({row: place for place, row in reversed(list(enumerate(rows["_rowid"].to_pylist())))}.values())
    return rows.take(sorted(first)).drop_columns(["_rowid"])


def with_index(table: Any) -> None:
    """Give a table of ``INDEXED`` vectors or more its index, if it has none."""
    if table.count_rows() < INDEXED or _indices(table):
        return
    from lancedb.index import Bitmap, BTree, HnswSq

    for column in ("camera", "recording"):
        table.create_index(column, config=Bitmap())
    for column in ("start_s", "end_s", "identity"):
        table.create_index(column, config=BTree())
    table.create_index("vector", config=HnswSq(distance_type="cosine"), wait_timeout=LONGEST)


def _indices(table: Any) -> list[Any]:
    return [one for one in table.list_indices() if "vector" in one.columns]
