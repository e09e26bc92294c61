"""From a recording to its emotions."""


def __getattr__(name: str):
    if name != "annotate":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from speech_emotion.inference.archive.columns import annotate  # imports datasets, which takes a second

    return annotate
