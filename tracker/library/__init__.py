"""A library: many runs gathered in one LanceDB, to find a person in.

- ``schema``: its tables, their version and its migrations.
- ``store``: opening it, and writing that happens whole or not at all, by one writer at a time.
- ``indexing``: a run's rows; adding and removing runs; ``prototypes``: a tracklet's vectors.
- ``words``: what the colours of clothes are called.
- ``examples``: what is looked for: pictures and tracklets, as vectors.
- ``filters``: where and when is looked.
- ``searching``: finding, and what the likenesses mean; ``reranking``: the same in the order of neighbourhoods;
  ``described``: finding by words alone.
- ``montage``, ``clips``: what was found, as pictures and as videos.
"""
