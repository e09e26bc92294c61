"""From a recording to its emotions."""
