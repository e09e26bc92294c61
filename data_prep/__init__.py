"""Six emotion corpora on disk become one Hugging Face dataset: `python -m data_prep --help`."""
