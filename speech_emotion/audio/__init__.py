"""Decoding, silence and voice activity."""
