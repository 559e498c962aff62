import Glibc
import StreamCodec
import StreamTool

/// Where closed batches go.
protocol Destination: ~Copyable {
    /// True while no more batches should be added.
    var isFull: Bool { get }
    /// Nothing more will be taken: reading should stop.
    var hasFailed: Bool { get }
    /// Takes a batch, also when it is full. What it leaves as the lines of it is memory to use
    /// again.
    mutating func add(_ batch: inout Batch, _ output: inout Output) throws
    /// Does what can be done without waiting.
    mutating func serve(_ output: inout Output) throws
    /// Waits until it is no longer full, or has failed, or a signal asks to stop.
    mutating func makeRoom(_ output: inout Output) throws
    /// When `serve` must be called at the latest, in nanoseconds of the monotonic clock.
    var deadline: UInt64? { get }
    /// Appends what to wait for besides the input.
    func watch(_ descriptors: inout [pollfd])
    /// The end of the run: waits until nothing more is delivered of what was added.
    mutating func deliverRest(_ output: inout Output) throws
    /// Until when the rest of an incomplete line may be read, in nanoseconds of the monotonic
    /// clock, so that what was read can be put away; nil when there is nothing to put away.
    var lineDeadline: UInt64? { get }
    /// What was added and not delivered gets to where it is safe.
    mutating func finish(_ rest: borrowing Rest, _ output: inout Output) throws
}

/// What was read and is in no batch.
struct Rest: ~Copyable {
    /// Whole lines; the last one may lack a line feed when the input ended there.
    var lines = ByteQueue(capacity: 0)
    /// What to tell of that which is in no line, and of what was not read.
    var note = ""
}

/// Standard output.
struct Writer: Destination, ~Copyable {
    private let form: Form
    private let report: Report

    init(_ form: Form, _ report: Report) {
        self.form = form
        self.report = report
    }

    mutating func add(_ batch: inout Batch, _ output: inout Output) throws {
        form.append(batch, to: &output.buffer)
        report.recordsOut += batch.count
        report.add(to: "batches")
        try output.drain()
    }

    var isFull: Bool { false }
    var hasFailed: Bool { false }
    mutating func serve(_ output: inout Output) throws {}
    mutating func makeRoom(_ output: inout Output) throws {}
    var deadline: UInt64? { nil }
    func watch(_ descriptors: inout [pollfd]) {}
    mutating func deliverRest(_ output: inout Output) throws {}
    var lineDeadline: UInt64? { nil }
    mutating func finish(_ rest: borrowing Rest, _ output: inout Output) throws {}
}
