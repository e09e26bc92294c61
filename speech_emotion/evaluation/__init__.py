"""Measuring a model on speakers it never heard."""
