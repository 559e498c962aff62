"""How fast rows are, beside each other."""

from measure import Bed, Row, Run, ratios
from report import Section, code, median, spread


class Throughput:
    """Rates of the rows, round by round, and how much faster ours is than a peer."""

    def __init__(self, bed: Bed, rows: list[Row]):
        for row in rows:
            bed.check(row)
        self.bed, self.rows = bed, rows
        self.runs: dict[str, list[Run]] = bed.rounds_of(rows, lambda row: bed.run(row.command)[0])
        self.rates = {
            row.name: [bed.size(row) / run.wall / 1e9 for run in self.runs[row.name]]
            for row in rows if row.name in self.runs
        }

    def rate(self, name: str) -> float | None:
        return median(self.rates.get(name))

    def ratio(self, name: str, other: str) -> float | None:
        return median(ratios(self.rates.get(name, []), self.rates.get(other, [])))

    def section(self, title: str, text: str) -> Section:
        header = ["row", "command", "GB/s", "wall s", "cpu s", "peak MB", "beside",
                  "ours is × as fast"]
        return Section(title, text, header, [self.cells(row) for row in self.rows])

    def cells(self, row: Row) -> list[str]:
        if row.name not in self.runs:
            return [row.name, code(row.command), f"{row.peer} not installed", *[""] * 5]
        runs, rates = self.runs[row.name], self.rates[row.name]
        compared = ratios(self.rates[row.beside], rates) if row.beside else None
        return [
            row.name, code(row.command), spread(rates),
            spread([run.wall for run in runs]), spread([run.cpu for run in runs]),
            spread([run.peak / 1e6 for run in runs]),
            row.beside, spread(compared) if compared else "",
        ]
