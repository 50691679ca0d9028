"""A library: many runs gathered in one LanceDB, to find a person in.

- ``schema``: its tables, their version and its migrations.
- ``store``: opening it, and writing that happens whole or not at all, by one writer at a time.
- ``indexing``: a run's rows; adding and removing runs.
- ``examples``: what is looked for: pictures and tracklets, as vectors.
- ``filters``: where and when is looked.
- ``searching``: finding, and what the likenesses mean.
"""
