"""Run `python -m speech_emotion.evaluation`."""

from speech_emotion.evaluation.report import main

if __name__ == "__main__":
    main()
