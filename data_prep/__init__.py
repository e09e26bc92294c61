"""Turns emotion corpora on disk into one Hugging Face dataset: `python -m data_prep --help`."""
