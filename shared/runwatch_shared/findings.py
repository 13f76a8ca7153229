"""What is wrong with settings: a finding names the setting, what is wrong, and how to mend it."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import msgspec

from runwatch_shared.errors import SettingsError


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing to mend."""

    setting: str
    """Dotted: ``limits.page_rows``."""
    wrong: str
    mend: str

    def __str__(self) -> str:
        return f"{self.setting}: {self.wrong}; {self.mend}"


def out_of_range(
    settings: msgspec.Struct, ranges: Mapping[str, tuple[float, float | None]]
) -> Iterator[Finding]:
    """The numbers that are not within their bounds.

    Args:
        ranges: By dotted name: the least and the most; None: there is no most.
    """
    for name, (least, most) in ranges.items():
        value = settings
        for part in name.split("."):
            value = getattr(value, part)
        if isinstance(value, int | float) and not least <= value <= (most or value):
            bounds = f"at least {least:g}" if most is None else f"{least:g} to {most:g}"
            yield Finding(name, f"{value:g} is out of range", f"set {bounds}")


def refuse(findings: Sequence[Finding]) -> None:
    """Raises SettingsError with all findings, where there are any."""
    if findings:
        raise SettingsError(" | ".join(str(finding) for finding in findings))
