"""The Markdown that a run leaves behind."""

import os
import platform
import statistics
from dataclasses import dataclass, field
from pathlib import Path


@dataclass
class Target:
    """A promise and what became of it. `at_least` tells which side of the limit is good."""
    text: str
    limit: float
    measured: float | None
    unit: str
    at_least: bool = True

    @property
    def verdict(self) -> str:
        if self.measured is None:
            return "not measured"
        good = self.measured >= self.limit if self.at_least else self.measured <= self.limit
        return "met" if good else "**missed**"

    def cells(self) -> list[str]:
        sign = "≥" if self.at_least else "≤"
        measured = "" if self.measured is None else f"{self.measured:.4g} {self.unit}"
        return [self.text, f"{sign} {self.limit:g} {self.unit}", measured, self.verdict]


@dataclass
class Section:
    title: str
    text: str
    header: list[str]
    rows: list[list[str]] = field(default_factory=list)
    targets: list[Target] = field(default_factory=list)

    def markdown(self) -> str:
        return f"## {self.title}\n\n{self.text}\n\n{table(self.header, self.rows)}"


def table(header: list[str], rows: list[list[str]]) -> str:
    lines = [header, ["---"] * len(header), *rows]
    return "".join("| " + " | ".join(cell(text) for text in line) + " |\n" for line in lines)


def cell(text: str) -> str:
    return text.replace("|", "\\|")


def code(command: str) -> str:
    return f"`{command}`"


def spread(values: list[float]) -> str:
    """The median, and what lies to both sides of it."""
    low, middle, high = (f"{value:.3g}" for value in
                         [min(values), statistics.median(values), max(values)])
    return f"{middle} ({low}…{high})"


def median(values: list[float] | None) -> float | None:
    return statistics.median(values) if values else None


def document(sections: list[Section], conditions: list[str], versions: dict[str, str | None]
             ) -> str:
    targets = [target.cells() for section in sections for target in section.targets]
    parts = [
        "# Benchmarks\n\nWritten by `make bench`; do not edit.\n\n",
        table(["target", "asked", "measured", ""], targets),
        "\n## Conditions\n\n",
        *(f"- {line}\n" for line in conditions),
        "\n",
        table(["program", "version"], [
            [name, version or "not installed"] for name, version in versions.items()
        ]),
    ]
    return "".join(parts) + "".join("\n" + section.markdown() for section in sections)


def machine() -> str:
    model = value_in("/proc/cpuinfo", "model name", ":")
    system = value_in("/etc/os-release", "PRETTY_NAME", "=").strip('"')
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return (f"{model or platform.machine()}, {os.cpu_count()} cores, {memory:.0f} GiB,"
            f" Linux {platform.release()}, {system}")


def value_in(path: str, key: str, separator: str) -> str:
    """The value of a key in a list of the system, empty where it has none."""
    for line in Path(path).read_text().splitlines():
        if line.startswith(key):
            return line.split(separator, 1)[1].strip()
    return ""
