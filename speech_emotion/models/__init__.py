"""The networks, loading them, and what a model folder holds."""
