"""Run the command `speech-emotion` as `python -m speech_emotion`."""

from speech_emotion.cli import main

if __name__ == "__main__":
    main()
