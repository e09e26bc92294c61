"""The Space's screens: each module lays one out and answers its events."""
