import StreamCodec

/// A batch that lines still go into.
struct OpenBatch {
    /// No batch.
    static let none = -1

    // What each line changes stands together: of many batches most time goes into waiting for
    // their memory.
    var count = 0
    /// The bytes of all its lines, with a line feed each.
    var size = 0
    /// Nanoseconds since 1970: of the window, else of the first and the last line.
    var from: UInt64 = 0
    var to: UInt64 = 0
    /// The lines, each with a line feed at its end; none when they are aggregated.
    var lines: [UInt8] = []
    /// The lines before those, of sessions that it became one with.
    var pieces = Pieces.List()
    var journalID = 0

    /// The key as JSON text; empty without --key.
    var key: [UInt8] = []
    /// The values of --when-changed.
    var change: [UInt8] = []
    var keyIndex = 0
    /// Its neighbours in the order in which batches were opened.
    var older = none
    var newer = none

    /// The bytes of the batch as it is written, or more.
    func writtenSize(_ limits: Limits) -> Int {
        size + limits.overhead + (limits.writesKey ? key.count : 0)
    }

    /// True when not even an empty line has room.
    func isFull(_ limits: Limits) -> Bool {
        count >= limits.count || limits.maxBytes.map { writtenSize(limits) + 1 > $0 } ?? false
    }

    /// What it takes besides its lines, about.
    var overhead: Int { 400 + 2 * key.count + change.count }
}

/// A batch that is closed: lines, or what aggregates made of them.
struct Batch: Equatable {
    /// 1, 2, 3, … in the order in which batches close.
    var seq = 0
    /// The key's JSON text; of several paths an array of their values. Empty without --key.
    var key: [UInt8] = []
    /// How many lines are, or were, in it.
    var count = 0
    /// The lines, each with a line feed at its end. Empty when there is a summary.
    var lines: [UInt8] = []
    /// The members that aggregates write, `"count":3,"p99_ms":12.5`; nil without --aggregate.
    var summary: [UInt8]?
    /// Nanoseconds since 1970: of the window, else when the first and the last line came.
    var from: UInt64 = 0
    var to: UInt64 = 0
    /// What the journal calls it; 0 without --journal.
    var journalID = 0

    // Of one that was a dead letter:
    /// The run in which it became one; empty for this run.
    var run = ""
    /// The numbers of its lines in the batch from which it comes; none: from 1.
    var numbers: [ClosedRange<Int>] = []
    /// The summary is all of it, as it was written.
    var isWritten = false
}

extension UnsafeBufferPointer<UInt8> {
    /// Calls `body` with each line, as a batch holds them: each has a line feed at its end, and
    /// whatever else is in it belongs to it.
    func forEachLine(_ body: (UnsafeBufferPointer<UInt8>) throws -> Void) rethrows {
        var start = 0
        for end in indices where self[end] == UInt8(ascii: "\n") {
            try body(slice(start..<end))
            start = end + 1
        }
    }
}

/// The limits of a batch, and of all of them.
struct Limits {
    let count: Int
    let maxBytes: Int?
    let rejectsOversize: Bool
    let maxAge: UInt64?
    let idle: UInt64?
    let maxOpen: Int
    let maxMemory: Int
    let watchesChanges: Bool
    /// A line may belong to a batch and not fit into it.
    let canOverflow: Bool
    let hasEnds: Bool
    let isAggregated: Bool
    /// As many bytes as a batch has when it is written, besides its lines and its key, or more.
    let overhead: Int
    let writesKey: Bool

    init(_ settings: BatchOptions, _ form: Form) {
        count = settings.count ?? .max
        maxBytes = settings.maxBytes
        rejectsOversize = settings.rejectsOversize
        maxAge = settings.maxAge
        idle = settings.idle
        maxOpen = settings.maxKeys
        maxMemory = settings.maxMemory
        watchesChanges = !settings.whenChanged.isEmpty
        canOverflow = watchesChanges || settings.maxBytes != nil
        hasEnds = !settings.when.isEmpty
        isAggregated = !settings.aggregates.isEmpty
        overhead = form.overhead
        writesKey = settings.format == .object
    }
}
