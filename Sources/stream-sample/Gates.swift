import StreamCodec
import StreamTool

/// A method that decides on each line when it comes.
protocol Gate: ~Copyable {
    /// What is known of a key.
    associatedtype State
    /// The state of a key that was not seen before.
    mutating func fresh() -> State
    /// Nil when the line is not sampled, otherwise the rate at which lines like it are.
    mutating func admit(_ line: borrowing Line, _ state: inout State) throws(LineError) -> Double?
    /// So many lines will not be admitted whatever they hold.
    func skippable(_ state: State) -> Int
    func skip(_ count: Int, _ state: inout State)
}

extension Gate where Self: ~Copyable {
    func skippable(_ state: State) -> Int { 0 }
    func skip(_ count: Int, _ state: inout State) {}
}

/// Lets a gate decide, for each key if there are any.
struct Sieve<G: Gate & ~Copyable>: Sampler, ~Copyable {
    private var gate: G
    private var strata: Strata<G.State>

    init(_ gate: consuming G, _ settings: SampleOptions) {
        self.gate = gate
        strata = Strata(settings)
    }

    var evictions: Int { strata.evictions }

    var skippable: Int {
        strata.hasKeys || strata.states.isEmpty ? 0 : gate.skippable(strata.states[0])
    }

    mutating func skip(_ count: Int) { gate.skip(count, &strata.states[0]) }

    @inline(__always)
    mutating func take(
        _ line: borrowing Line, _ sink: inout Sink, _ output: inout Output
    ) throws {
        let index = strata.find(line, fresh: gate.fresh()).index
        if let rate = try gate.admit(line, &strata.states[index]) {
            try sink.sampled(line.bytes, rate: rate, &output)
        } else {
            try sink.passedOver(line.bytes, &output)
        }
    }
}

/// -p and --nth: after each sampled line a gap, which is known in advance.
struct GapGate: Gate {
    enum Gaps {
        /// Geometrically distributed, as Bernoulli trials have it (Vitter 1984, section 3).
        case random(RandomSource, logOfFailure: Double)
        case constant(Int)
    }

    private var gaps: Gaps
    private let first: Int?
    private let rate: Double

    /// Each line with this probability.
    init(probability: Double, _ random: RandomSource) {
        gaps = .random(
            random, logOfFailure: probability == 1 ? -.infinity : logarithm(onePlus: -probability))
        first = nil
        rate = probability
    }

    /// Every `nth` line, behind the first `offset`.
    init(nth: Int, offset: Int) {
        gaps = .constant(nth - 1)
        first = offset
        rate = 1 / Double(nth)
    }

    mutating func fresh() -> Int { first ?? gap() }

    @inline(__always)
    mutating func admit(_ line: borrowing Line, _ left: inout Int) -> Double? {
        if left > 0 {
            left -= 1
            return nil
        }
        left = gap()
        return rate
    }

    private mutating func gap() -> Int {
        switch gaps {
        case .constant(let gap): return gap
        case .random(var random, let logOfFailure):
            let gap = random.failures(logOfFailure: logOfFailure)
            gaps = .random(random, logOfFailure: logOfFailure)
            return gap
        }
    }

    func skippable(_ left: Int) -> Int { left }
    func skip(_ count: Int, _ left: inout Int) { left -= count }
}

/// -p with --key: a key is sampled when its hash is below a share of all hashes, so that a larger
/// share samples the same keys and more.
struct HashGate: Gate {
    private let seed: UInt64
    /// Nil: all of them.
    private let threshold: UInt64?
    private let rate: Double

    init(probability: Double, seed: UInt64) {
        self.seed = seed
        // Exact: only the exponent changes.
        threshold = probability == 1 ? nil : UInt64(probability * 0x1p64)
        rate = probability
    }

    func fresh() {}

    @inline(__always)
    func admit(_ line: borrowing Line, _ state: inout Void) -> Double? {
        guard let threshold else { return rate }
        return XXH64.hash(line.key, seed: seed) < threshold ? rate : nil
    }
}

/// --first and --distinct: one line of each key in an interval, or at all.
struct FirstGate: Gate {
    struct State {
        /// The interval of the last line that was sampled.
        var interval: UInt64?
        /// Lines of the key since then.
        var repeats = 0
    }

    func fresh() -> State { State() }

    @inline(__always)
    func admit(_ line: borrowing Line, _ state: inout State) -> Double? {
        if state.interval == line.interval {
            state.repeats += 1
            return nil
        }
        defer { state = State(interval: line.interval) }
        return 1 / Double(1 + state.repeats)
    }
}

/// --change: lines whose values differ from those of the last line that was sampled.
struct ChangeGate: Gate, ~Copyable {
    /// Numbers that differ by no more are the same.
    private let deadband: Double?
    /// The values of the line at hand.
    private var text = ByteQueue(capacity: 256)
    /// Values of more bytes are remembered by hashes.
    private static let maxText = 1024
    private let hashes = (KeyHash(), KeyHash())

    struct State {
        /// The values, each followed by 0xFF, or what stands for them; empty before the first line.
        var text: [UInt8] = []
        /// With a deadband, the values that are numbers.
        var numbers: [Double?] = []
        var repeats = 0
    }

    init(deadband: Double?) {
        self.deadband = deadband
    }

    func fresh() -> State { State() }

    mutating func admit(_ line: borrowing Line, _ state: inout State) -> Double? {
        text.removeAll()
        var numbers: [Double?] = []
        for slot in line.valueSlots {
            let number = deadband == nil ? nil : line.number(in: slot)
            // Numbers are compared as numbers, so their digits do not count.
            if number == nil { line.append(slot, to: &text) }
            text.append(0xFF)
            if deadband != nil { numbers.append(number) }
        }
        if text.count > Self.maxText { digest() }
        if text.bytes.isEqual(to: state.text) && !differs(numbers, state.numbers) {
            state.repeats += 1
            return nil
        }
        defer { state = State(text: Array(text.bytes), numbers: numbers) }
        return 1 / Double(1 + state.repeats)
    }

    /// Long values are told apart by 128 bits of hashes, so that they need not be kept.
    private mutating func digest() {
        let digest = [UInt64(text.count), hashes.0.hash(text.bytes), hashes.1.hash(text.bytes)]
        text.removeAll()
        for word in digest { text.append(decimal: Int(bitPattern: UInt(word))) }
    }

    private func differs(_ now: [Double?], _ last: [Double?]) -> Bool {
        guard let deadband else { return false }
        for (now, last) in zip(now, last) {
            switch (now, last) {
            case (nil, nil): break
            case (let now?, let last?):
                // Two infinities, too large for a Double, have no difference. Of decimal fractions
                // the last digits are not exact.
                let tolerance = deadband == 0 ? 0 : 4 * max(abs(now), abs(last)).ulp
                if now != last && !(abs(now - last) <= deadband + tolerance) { return true }
            default: return true
            }
        }
        return false
    }
}
