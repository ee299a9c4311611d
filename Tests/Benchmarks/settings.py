"""How long to measure: the one thing that `--quick` changes."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Settings:
    quick: bool = False
    soak_minutes: float = 10

    def pick(self, full, quick):
        return quick if self.quick else full
