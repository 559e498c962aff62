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
    /// The end of the run: all that was added gets to where it is safe. `rest` was read and is in
    /// no batch: an incomplete line.
    mutating func finish(rest: UnsafeBufferPointer<UInt8>, _ output: inout Output) throws
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
    mutating func finish(rest: UnsafeBufferPointer<UInt8>, _ output: inout Output) throws {}
}
