"""A trained model becomes a file that another machine can trust.

``export.onnx`` writes it, ``export.parity`` proves it equal to the network it came from. Knows nothing of video.
"""
