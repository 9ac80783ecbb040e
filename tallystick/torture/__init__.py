"""Torture: many writers on a house of its own, while its processes are killed; then an independent model counts.

What was acknowledged must be there once, what was refused must not, and what is unknown is settled by its own key. So it is with
rewards; of activity, every fact, every customer's progress and what that gave must be what a naive tally makes of it.

And races: many tills on the same stored value, nobody is killed, and an independent count of every unit.
"""

from tallystick.torture.races import Meeting, Results, race
from tallystick.torture.run import Report, Torment, torment

__all__ = ["Meeting", "Report", "Results", "Torment", "race", "torment"]
