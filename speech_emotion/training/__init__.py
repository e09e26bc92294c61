"""What train.py trains with."""
