import StreamCodec

/// Lines of a batch that are delivered together: all of them, or some of them after --bisect.
struct Part: Equatable {
    /// The first line's number in the batch, from 1.
    var first: Int
    var count: Int
    /// Where they stand in the batch's lines.
    var bytes: Range<Int>

    /// What BATCH_PART says.
    var name: String { "\(first)-\(first + count - 1)" }

    /// The first half of the lines, and the rest. There are two at least.
    func halves(of lines: [UInt8]) -> (Part, Part) {
        let size = count / 2
        var middle = bytes.lowerBound
        for _ in 0..<size {
            while lines[middle] != UInt8(ascii: "\n") { middle += 1 }
            middle += 1
        }
        return (
            Part(first: first, count: size, bytes: bytes.lowerBound..<middle),
            Part(first: first + size, count: count - size, bytes: middle..<bytes.upperBound)
        )
    }
}

/// A batch whose turn has come: what of it is still to be delivered, and the command that runs.
struct Turn {
    var batch: Batch
    /// What is still to be delivered, the next part last.
    private(set) var parts: [Part]
    /// The command that runs for the next part.
    var child: Child?
    /// Parts whose commands ended well, with what those wrote and is still to be written.
    private(set) var delivered: [(part: Part, child: Child)] = []
    /// The signal that stops the run ended its command, too.
    var wasInterrupted = false
    /// It is not tried again in this run: what is left of it stays in the journal.
    var isGivenUp = false
    /// The next attempt does not start earlier.
    var notBefore: UInt64 = 0

    // Of the next part:
    private(set) var attempts = 0
    private(set) var probes = 0
    /// The attempt that runs, or ran last, is a probe.
    private(set) var isProbe = false

    init(_ batch: Batch) {
        self.batch = batch
        parts = [Part(first: batch.first, count: batch.count, bytes: 0..<batch.lines.count)]
    }

    /// Nothing of it is left to be delivered.
    var isDelivered: Bool { parts.isEmpty }
    /// It needs its slot no more.
    var isOver: Bool { isDelivered || isGivenUp }
    /// It may be tried, by itself.
    var isWaiting: Bool { child == nil && !isOver }
    /// Attempts that count against --retries.
    var countedAttempts: Int { attempts - probes }
    var canBeSplit: Bool { batch.summary == nil && parts.last.map { $0.count > 1 } == true }

    mutating func start(isProbe: Bool) {
        attempts += 1
        probes += isProbe ? 1 : 0
        self.isProbe = isProbe
    }

    /// The next part is delivered, or, without a child, recorded as undeliverable.
    mutating func finishPart(_ child: Child? = nil) {
        guard let part = parts.popLast() else { return }
        if let child { delivered.append((part, child)) }
        beginPart()
    }

    /// What the commands wrote is written.
    mutating func finishOutput() { delivered = [] }

    /// What the commands wrote cannot be written, which makes their parts undelivered. The run
    /// has failed: only a command that runs, for the last part, may still end.
    mutating func takeBack() {
        parts.insert(contentsOf: delivered.map(\.part), at: max(0, parts.count - 1))
        delivered = []
    }

    mutating func split() {
        guard let part = parts.popLast() else { return }
        let (first, second) = part.halves(of: batch.lines)
        parts += [second, first]
        beginPart()
    }

    private mutating func beginPart() {
        attempts = 0
        probes = 0
        notBefore = 0
    }

    /// The lines of a part as a batch. The whole batch is not copied.
    func content(of part: Part) -> Batch {
        if part.bytes.count == batch.lines.count { return batch }
        var content = batch
        content.lines = Array(batch.lines[part.bytes])
        content.count = part.count
        return content
    }
}

/// Batches that wait for their turn: first in, first out.
struct Waiting {
    private var incoming: [Batch] = []
    /// The next one is the last.
    private var outgoing: [Batch] = []

    var count: Int { incoming.count + outgoing.count }

    mutating func append(_ batch: Batch) { incoming.append(batch) }

    mutating func next() -> Batch? {
        if outgoing.isEmpty {
            outgoing = incoming.reversed()
            incoming = []
        }
        return outgoing.popLast()
    }
}
