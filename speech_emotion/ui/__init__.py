"""The screens and endpoints of the Space."""
