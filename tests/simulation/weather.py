"""What goes wrong in one run, and how often: drawn once by the seed, and all of it over when it turns calm."""

from random import Random

CLEAR = (0.0, 0.0)


class Weather:
    """Probabilities of each fault. Delays are virtual seconds."""

    def __init__(self, random: Random) -> None:
        self._random = random
        self.lost = self._one_of(0.0, 0.02, 0.1, 0.3)
        self.twice = self._one_of(0.0, 0.05, 0.3)
        self.late = self._one_of(0.0, 0.03, 0.15)
        self.cut = self._one_of(*CLEAR, 0.02, 0.1)
        """The connection to the bus is lost while something is published."""
        self.refused = self._one_of(*CLEAR, 0.03, 0.15)
        """The store fails, and nothing was done."""
        self.unknown = self._one_of(*CLEAR, 0.03, 0.15)
        """The store fails, and what was asked for was done, or will be."""
        self.worker_fails = self._one_of(0.0, 0.1, 0.3)
        self.worker_silent = self._one_of(0.0, 0.0, 0.05, 0.2)
        self.worker_slow = self._one_of(0.0, 0.1, 0.3)
        self.crash_every = self._one_of(0.0, 4.0, 1.5, 0.7)
        """Seconds between two crashes of some process, in the mean; 0 for none."""
        self.gone_for_good = self._one_of(0.0, 0.5)
        """A process that was killed is not started again, as long as another lives."""
        self.store_away_every = self._one_of(*CLEAR, 4.0)
        self.disorder = self._one_of(0.0, 0.1, 0.5, 1.0)
        self.stall = self._one_of(*CLEAR, 0.0005, 0.003)
        self.store_away = False

    def clear_up(self) -> None:
        """Let nothing go wrong any more."""
        for name, value in vars(self).items():
            if isinstance(value, float):
                setattr(self, name, 0.0)
        self.store_away = False

    def hits(self, probability: float) -> bool:
        """Whether something of this probability happens now."""
        return probability > 0 and self._random.random() < probability

    def delay(self) -> float:
        """How long something takes on its way."""
        if self.hits(self.late):
            return self._random.uniform(0.3, 8.0)
        return self._random.expovariate(200.0)

    def copies(self) -> int:
        """How often something that was published comes."""
        if self.hits(self.lost):
            return 0
        return 2 if self.hits(self.twice) else 1

    def _one_of(self, *values: float) -> float:
        return self._random.choice(values)
