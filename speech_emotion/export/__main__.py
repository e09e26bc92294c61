"""Run `python -m speech_emotion.export`."""

from speech_emotion.export.onnx import main

if __name__ == "__main__":
    main()
