"""Samples that can't be read: left out, counted, and listed in the data card."""

from dataclasses import dataclass, field

from trainyard_api.errors import TrainyardError

EXAMPLES = 20


@dataclass
class BadSamples:
    """The samples of one source that were left out."""

    count: int = 0
    examples: list[str] = field(default_factory=list)

    def add(self, where: str, why: str, count: int = 1) -> None:
        """Note `count` samples; the first 20 notes are kept as examples."""
        self.count += count
        if len(self.examples) < EXAMPLES:
            self.examples.append(f"{where}: {why}")

    def check(self, good: int, max_share: float) -> None:
        """Raise TrainyardError BadSamples if more than `max_share` of all samples were bad."""
        if self.count > max_share * (self.count + good):
            total = self.count + good
            raise TrainyardError(
                f"{self.count} of {total} samples can't be read: more than data.maxBadShare ({max_share:g}).",
                "; ".join(self.examples[:5]),
                "Mend or remove these samples, or raise data.maxBadShare to leave them out.",
                cause="BadSamples",
            )
