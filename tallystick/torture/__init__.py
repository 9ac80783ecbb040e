"""Torture: many writers on a house of its own, while its processes are killed; then an independent model counts.

What was acknowledged must be there once, what was refused must not, and what is unknown is settled by its own key.
"""

from tallystick.torture.run import Report, Torment, torment

__all__ = ["Report", "Torment", "torment"]
