"""A clock for live cycling that only goes on when somebody sleeps, or as a test says."""

import numpy as np

MINUTE = np.timedelta64(1, "m")


class FakeClock:
    """Goes on by what is slept, and by given jumps (minutes) after given numbers of sleeps."""

    def __init__(self, start, jumps=None):
        self.time, self.jumps, self.sleeps = start, dict(jumps or {}), []

    def now(self):
        return self.time

    def sleep(self, interval):
        self.sleeps.append(interval)
        assert len(self.sleeps) < 5000, "the schedule does not get on"
        self.time = self.time + interval + self.jumps.pop(len(self.sleeps), 0) * MINUTE

    def shown_at(self, real):
        return real
