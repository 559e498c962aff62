import StreamCodec
import StreamTool

/// A method of sampling.
protocol Sampler: ~Copyable {
    /// So many lines would be passed over whatever they hold; they may be, unseen.
    var skippable: Int { get }
    mutating func skip(_ count: Int)

    /// Takes a line: writes it, holds it, or passes over it.
    mutating func take(
        _ line: borrowing Line, _ sink: inout Sink, _ output: inout Output) throws

    /// True while lines are held back until the interval ends.
    var isHolding: Bool { get }
    /// Writes what is held and begins anew: the interval or the input ended.
    mutating func endInterval(_ sink: inout Sink, _ output: inout Output) throws
    /// Writes what would be written if the input ended here, and goes on.
    mutating func writeSoFar(_ sink: inout Sink, _ output: inout Output) throws

    /// Keys that had to be forgotten.
    var evictions: Int { get }
}

/// What a sampler that decides on each line at once need not say.
extension Sampler where Self: ~Copyable {
    var skippable: Int { 0 }
    mutating func skip(_ count: Int) {}
    var isHolding: Bool { false }
    mutating func endInterval(_ sink: inout Sink, _ output: inout Output) throws {}
    mutating func writeSoFar(_ sink: inout Sink, _ output: inout Output) throws {}
}

/// Where lines go once it is known whether they were sampled; counts them.
struct Sink {
    /// `"NAME":`, or empty without --annotate.
    private let annotation: [UInt8]
    /// What was not sampled is written instead of what was.
    let isInverted: Bool
    private let maxHeldBytes: Int
    private var heldBytes = 0
    /// Lines that came.
    var read = 0
    private var written = 0
    private var dropped = 0
    private var kept = 0

    init(_ settings: SampleOptions) {
        var member = ByteQueue()
        if let name = settings.annotation {
            member.append(quoting: name)
            member.append(UInt8(ascii: ":"))
        }
        annotation = Array(member.bytes)
        isInverted = settings.isInverted
        maxHeldBytes = settings.maxMemory
    }

    func tellCounts(_ report: Report) {
        report.recordsIn = read
        report.recordsOut = written
        report.dropped = dropped
        report.set(kept, as: "kept")
    }

    /// A line that a --keep names, which is no part of the sample.
    mutating func keep(
        _ line: UnsafeBufferPointer<UInt8>, _ output: inout Output
    ) throws {
        kept += 1
        try sampled(line, rate: 1, &output)
    }

    /// A line that was sampled; about 1 in 1 / `rate` lines like it was.
    @inline(__always)
    mutating func sampled(
        _ line: UnsafeBufferPointer<UInt8>, rate: Double, _ output: inout Output
    ) throws {
        if isInverted {
            dropped += 1
        } else {
            try write(line, rate: rate, &output)
        }
    }

    @inline(__always)
    mutating func passedOver(
        _ line: UnsafeBufferPointer<UInt8>, _ output: inout Output
    ) throws {
        if isInverted {
            try write(line, rate: 1, &output)
        } else {
            dropped += 1
        }
    }

    /// Lines that came and were passed over unseen, which --invert forbids.
    mutating func skip(_ count: Int) {
        read += count
        dropped += count
    }

    /// What `body` does not write is not dropped yet.
    mutating func withoutDropping(_ body: (inout Sink) throws -> Void) rethrows {
        let before = dropped
        try body(&self)
        dropped = before
    }

    @inline(__always)
    private mutating func write(
        _ line: UnsafeBufferPointer<UInt8>, rate: Double, _ output: inout Output
    ) throws {
        if annotation.isEmpty {
            try writeAsItIs(line, &output)
        } else {
            written += 1
            append(line, rate: rate, to: &output.buffer)
            output.buffer.append(UInt8(ascii: "\n"))
            try output.drain()
        }
    }

    @inline(__always)
    mutating func writeAsItIs(
        _ line: UnsafeBufferPointer<UInt8>, _ output: inout Output
    ) throws {
        written += 1
        output.buffer.append(line)
        output.buffer.append(UInt8(ascii: "\n"))
        try output.drain()
    }

    /// The line with the rate as the last member of its object; other values stay as they are.
    private func append(
        _ line: UnsafeBufferPointer<UInt8>, rate: Double, to queue: inout ByteQueue
    ) {
        let isSpace = { (byte: UInt8) in byte <= UInt8(ascii: " ") }
        guard let last = line.lastIndex(where: { !isSpace($0) }),
            line[last] == UInt8(ascii: "}"),
            let first = line.firstIndex(where: { !isSpace($0) }),
            line[first] == UInt8(ascii: "{"),
            let inner = line[..<last].lastIndex(where: { !isSpace($0) })
        else {
            queue.append(line)
            return
        }
        queue.append(line.slice(0..<last))
        if inner != first { queue.append(UInt8(ascii: ",")) }
        queue.append(annotation)
        queue.append(string: rate == 1 ? "1" : "\(rate)")
        queue.append(line.slice(last..<line.count))
    }

    // MARK: Held lines

    /// A line costs its bytes and about so many for what is known of it.
    private static let overhead = 80

    /// Accounts for a line that is held, in the place of another if there is one; throws when that
    /// is too much, and then nothing has changed.
    mutating func hold(_ size: Int, insteadOf old: Int? = nil) throws(LineError) {
        if isFull(for: size, insteadOf: old) { throw tooMuch }
        heldBytes += size + Self.overhead
        if let old { release(old) }
    }

    /// Throws when a line of this size is too much to hold even alone.
    func checkAlone(_ size: Int) throws(LineError) {
        if size > maxHeldBytes - Self.overhead { throw tooMuch }
    }

    private var tooMuch: LineError {
        LineError(offset: 0, reason: "more than \(maxHeldBytes) bytes to hold (see --max-memory)")
    }

    mutating func release(_ size: Int) { heldBytes -= size + Self.overhead }

    /// True when one more line of this size is too much to hold.
    func isFull(for size: Int, insteadOf old: Int? = nil) -> Bool {
        let freed = old.map { $0 + Self.overhead } ?? 0
        return heldBytes - freed > maxHeldBytes - Self.overhead - size
    }
}

/// A line that waits, at its place among all lines.
struct HeldLine {
    var number: Int
    var rate: Double
    var bytes: [UInt8]

    /// Writes the lines in the order in which they came.
    static func write(
        _ lines: consuming [HeldLine], _ sink: inout Sink, _ output: inout Output
    ) throws {
        lines.sort { $0.number < $1.number }
        for line in lines {
            try line.bytes.withUnsafeBufferPointer {
                try sink.sampled($0, rate: line.rate, &output)
            }
        }
    }
}

/// What a method knows of each key, or of all lines when there is none.
struct Strata<State>: ~Copyable {
    /// Without them there is one stratum, number 0.
    let hasKeys: Bool
    private var keys: KeyTable
    var states: [State] = []

    init(_ settings: SampleOptions) {
        hasKeys = settings.hasStrata
        keys = KeyTable(limit: settings.maxKeys)
    }

    var evictions: Int { keys.evictions }

    /// The line's stratum, and the state of the key that had to make room for it, if one had.
    @inline(__always)
    mutating func find(
        _ line: borrowing Line, fresh: @autoclosure () -> State
    ) -> (index: Int, evicted: State?) {
        if !hasKeys {
            if states.isEmpty { states.append(fresh()) }
            return (0, nil)
        }
        let found = keys.insert(line.key)
        if found.arrival == .known { return (found.index, nil) }
        if found.index == states.count {
            states.append(fresh())
            return (found.index, nil)
        }
        let old = states[found.index]
        states[found.index] = fresh()
        return (found.index, found.arrival == .replaced ? old : nil)
    }

    mutating func removeAll() {
        keys.removeAll()
        states.removeAll()
    }

    /// Forgets the key that was not seen for the longest time.
    mutating func evictOldest() -> Int? { keys.evictOldest() }

    /// The strata whose latest line came last, for as long as `condition` holds, oldest first.
    func latest(while condition: (State) -> Bool) -> [Int] {
        var found: [Int] = []
        var next = keys.newest
        while let index = next, condition(states[index]) {
            found.append(index)
            next = keys.older(than: index)
        }
        return found.reversed()
    }
}
