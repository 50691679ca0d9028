"""The application: video in, people out.

Nothing heavy is imported here; ``tracker.pipeline.run`` is the main job, ``tracker.store`` reads what it wrote.
"""
