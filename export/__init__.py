"""A trained model becomes a file that another machine can trust.

``export.onnx`` writes it and ``export.formats`` what other runtimes want; ``export.gate`` lets through only what equals
the model it came from. Knows nothing of video.
"""
