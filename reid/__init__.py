"""Appearance: person crops in, identities ranked out.

Knows nothing of video, of a run's files or of cameras' clocks. Nothing heavy is imported here; import the module
that does the work (``reid.embed`` for vectors, ``reid.train`` to learn, ``reid.evaluation`` to score).
"""
