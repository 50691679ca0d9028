"""A case: chosen sightings of a library with notes, and a bundle of them that somebody else can verify.

- ``log``: what was done, a line each, every line bound to the one before.
- ``cases``: where cases are kept; sightings and notes.
- ``sources``: what a sighting rests on: its recording, its run, its models, its corrections.
- ``moments``: a sighting's clip and still picture.
- ``bundle``: all of it as a folder or a .zip that opens in a browser.
- ``checking``: whether a bundle is what was exported, and of these recordings.
"""
