import StreamCodec
import StreamTool

/// The generic cell rate algorithm (ITU-T I.371), as virtual scheduling. Times are counted in
/// steps, so many to a nanosecond that from one line to the next at the full rate it is a whole
/// number of them.
struct CellRate {
    private let steps: UInt128
    private let interval: UInt128
    /// So much earlier than it is due may a line come.
    private let tolerance: UInt128

    init(_ rate: Rate, burst: Int) {
        // As many decimals as the number has; digits beyond the fifteenth do not count.
        var scale = 1.0
        while scale < 1e18, rate.count * scale < 1e15,
            (rate.count * scale).rounded() / scale != rate.count
        {
            scale *= 10
        }
        steps = UInt128((rate.count * scale).rounded())
        interval = UInt128(rate.seconds) * 1_000_000_000 * UInt128(scale)
        let (product, isTooMuch) = interval.multipliedReportingOverflow(by: UInt128(burst - 1))
        tolerance = isTooMuch ? .max : product
    }

    /// The time in steps.
    func time(_ nanoseconds: UInt64) -> UInt128 { UInt128(nanoseconds) * steps }

    /// The first nanosecond that is not before the time.
    func nanoseconds(_ time: UInt128) -> UInt64 {
        UInt64(clamping: time / steps + (time % steps == 0 ? 0 : 1))
    }

    func earliest(due: UInt128) -> UInt128 { due > tolerance ? due - tolerance : 0 }

    /// When the line behind one that comes now is due.
    func next(due: UInt128, now: UInt128) -> UInt128 {
        let (sum, isTooMuch) = max(now, due).addingReportingOverflow(interval)
        return isTooMuch ? .max : sum
    }
}

/// --rate: what comes too early is dropped.
struct RateGate: Gate {
    private let rate: CellRate

    struct State {
        /// When the next line is due, in steps since `origin`.
        var due: UInt128 = 0
        /// The time of the key's first line.
        var origin: UInt64?
        /// Lines that were not sampled since the last one that was.
        var passedOver = 0
    }

    init(_ rate: CellRate) {
        self.rate = rate
    }

    func fresh() -> State { State() }

    func admit(_ line: borrowing Line, _ state: inout State) -> Double? {
        // What came before a wrong time says nothing of this one.
        if line.time < state.origin ?? 0 { state = fresh() }
        let origin = state.origin ?? line.time
        state.origin = origin
        let now = rate.time(line.time - origin)
        if now < rate.earliest(due: state.due) {
            state.passedOver += 1
            return nil
        }
        state.due = rate.next(due: state.due, now: now)
        defer { state.passedOver = 0 }
        return 1 / Double(1 + state.passedOver)
    }
}

/// --adapt: each line with a probability that makes about so many lines a second of what comes.
///
/// Two things give the probability. The rate of the input, smoothed exponentially, gives the
/// share that is wanted in the long run. An allowance, which grows by the wanted rate up to what
/// the time of smoothing brings and is spent by the probabilities, raises it where there is much
/// left and lowers it where there is little: in any time t no more than (t + smoothing) times the
/// wanted rate are expected.
struct AdaptiveGate: Gate {
    /// Lines a second.
    private let wanted: Double
    /// Nanoseconds until what was seen counts 1/e.
    private let smoothing: Double
    /// The most lines that can be allowed at once.
    private let mostAllowed: Double
    /// At a low rate, so many lines are allowed at once.
    private static let fewLines = 10.0
    /// What is seen in a second: a rate cannot be told from less.
    private let leastSeen: Double
    private var random: RandomSource

    struct State {
        var last: UInt64?
        /// Lines, each counting less the longer ago it was.
        var weight = 0.0
        /// The share of the past that was there to be seen: 1 in the long run.
        var seen = 0.0
        var allowed: Double
    }

    init(perSecond: Double, smoothing: UInt64, _ random: RandomSource) {
        wanted = perSecond
        self.smoothing = Double(smoothing)
        mostAllowed = max(perSecond * self.smoothing / 1e9, Self.fewLines)
        leastSeen = -exponentialMinusOne(-min(1, 1e9 / self.smoothing))
        self.random = random
    }

    func fresh() -> State { State(allowed: mostAllowed) }

    mutating func admit(_ line: borrowing Line, _ state: inout State) -> Double? {
        // Behind a wrong time there is an earlier one.
        let elapsed = Double(line.time - min(state.last ?? line.time, line.time))
        state.last = line.time
        if elapsed > 0 {
            let decay = exponential(-elapsed / smoothing)
            state.weight *= decay
            state.seen = 1 - (1 - state.seen) * decay
            state.allowed = min(mostAllowed, state.allowed + wanted * elapsed / 1e9)
        }
        let rate = state.weight / (smoothing / 1e9 * max(state.seen, leastSeen))
        state.weight += 1
        // 2 with the whole allowance, 1 with half of it. Below that the probability falls with a
        // power, not exponentially: the lines at the end of a burst must have a chance, too.
        let left = 2 * state.allowed / mostAllowed
        let probability = min(1, max(wanted / rate, left - 1), left * left * left)
        state.allowed -= probability
        return random.unit() < probability ? probability : nil
    }
}

/// --rate with --pace: no line is lost, each waits until its time has come.
struct Pacer: Sampler, ~Copyable {
    private let rate: CellRate
    private let report: Report
    /// How late the last sleep ended, in nanoseconds, as far as it is made up for.
    private var lateness: UInt64 = 0
    private static let mostLateness: UInt64 = 10_000_000
    /// For each key when its next line is due, in steps since `start`.
    private var due: Strata<UInt128>
    private let start = monotonicNanoseconds()

    init(_ rate: CellRate, _ settings: SampleOptions, _ report: Report) {
        self.rate = rate
        self.report = report
        due = Strata(settings)
    }

    var evictions: Int { due.evictions }

    mutating func take(
        _ line: borrowing Line, _ sink: inout Sink, _ output: inout Output
    ) throws {
        let index = due.find(line, fresh: 0).index
        var now = monotonicNanoseconds() - start
        let earliest = rate.nanoseconds(rate.earliest(due: due.states[index]))
        if now < earliest && !isStopped() {
            // Nothing waits in the buffer while the next line waits for its time.
            try output.flush()
            sink.tellCounts(report)
            // Behind a signal the lines that were read go out at once: they must not be lost.
            try report.sleep(until: start + earliest)
            now = monotonicNanoseconds() - start
            // What that takes is made up for, or the rate would fall short.
            lateness = now > earliest ? min(now - earliest, Self.mostLateness) : 0
        }
        let began = rate.time(now > lateness ? now - lateness : 0)
        due.states[index] = rate.next(due: due.states[index], now: began)
        try sink.sampled(line.bytes, rate: 1, &output)
    }
}
