/// Mean and squared deviations of numbers, kept so that nothing large is subtracted from something
/// as large (B. P. Welford, Note on a Method for Calculating Corrected Sums of Squares and
/// Products, 1962).
struct Moments {
    private var count = 0
    /// The first number. The mean is kept as the difference from it, so that numbers that are
    /// large and near each other lose nothing.
    private var origin = 0.0
    private var mean = 0.0
    private var squares = 0.0

    @inline(__always)
    mutating func add(_ value: Double) {
        if count == 0 { origin = value }
        count += 1
        let shifted = value - origin
        let difference = shifted - mean
        mean += difference / Double(count)
        squares += difference * (shifted - mean)
    }

    /// Chan, Golub and LeVeque, Updating Formulae and a Pairwise Algorithm for Computing Sample
    /// Variances, 1979.
    mutating func merge(_ other: Moments) {
        if other.count == 0 { return }
        if count == 0 {
            self = other
            return
        }
        let total = Double(count + other.count)
        let share = Double(other.count) / total
        let difference = (other.origin - origin) + (other.mean - mean)
        squares += other.squares + difference * difference * Double(count) * share
        mean += difference * share
        count += other.count
    }

    /// The standard deviation of the sample, over n - 1; nil for fewer than two numbers. Not
    /// finite when a square is too large for a Double: from deviations of 10^154.
    var standardDeviation: Double? {
        count < 2 ? nil : (squares / Double(count - 1)).squareRoot()
    }
}
