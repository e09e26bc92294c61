"""The errors of training; each message is a sentence for the person who gave the command."""


class TrainingError(Exception):
    """Training cannot start or go on; `train.py` prints the message and ends."""


class ArgumentsError(TrainingError):
    """Arguments that exclude or need one another, or that name a place which cannot be used."""


class SplitError(TrainingError):
    """A dataset that cannot be split as the protocol asks."""


class CheckpointError(TrainingError):
    """A checkpoint that cannot be resumed from."""
