"""Tallystick: merchant rewards and stored value, kept in books that always add up."""

__version__ = "0.1.0"
