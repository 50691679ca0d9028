"""The page over a library, ``reidtrack serve``: server-rendered, nothing loaded from elsewhere.

- ``app``: puts the parts together; ``site``: what all share; ``security``: who may ask what; ``pages``: templates.
- Pages, one a file: ``wall``, ``identity``, ``find``, ``player``, ``compare``, ``corrections``, ``recordings``.
- ``media``: pictures, frames and recordings, over ``clock`` (which frame is when), ``decoding`` (one frame exactly),
  ``transcoding`` (for codecs that browsers do not play) and ``boxes`` (who is where in a frame).
- ``catalogue``: who there is, over what searches hold in memory; ``uploads``: pictures from strangers;
  ``jobs``: long work.
"""
