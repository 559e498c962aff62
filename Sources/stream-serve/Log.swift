import StreamCodec

/// Bytes that clients of one form and filter are still to receive, each frame once.
///
/// Places count all bytes that ever were in the log.
struct Log: ~Copyable {
    /// Where a frame begins, and the first event in it.
    struct Mark {
        var place: Int
        var sequence: UInt64
        /// How many events the log had before.
        var events: Int
        /// What a receiver of the compressed stream has been given before this place.
        var tally = GzipTally()
    }

    var bytes = ByteQueue(capacity: 0)
    private var marks: UnsafeMutablePointer<Mark>
    private var markCapacity = 8
    private var markStart = 0
    private var markEnd = 0
    /// The place of the first byte.
    private(set) var base = 0
    /// Events that ever were in it.
    var events = 0

    init() {
        marks = .allocate(capacity: 8)
    }

    deinit {
        marks.deallocate()
    }

    var end: Int { base + bytes.count }
    var isEmpty: Bool { bytes.isEmpty }

    /// A frame begins at the end of the log. Its events are counted by who appends them.
    @inline(__always)
    mutating func mark(_ sequence: UInt64, _ tally: GzipTally = GzipTally()) {
        if markEnd == markCapacity { makeRoom() }
        marks[markEnd] = Mark(place: end, sequence: sequence, events: events, tally: tally)
        markEnd += 1
    }

    private mutating func makeRoom() {
        let count = markEnd - markStart
        if count > markCapacity / 2 {
            markCapacity *= 2
            let larger = UnsafeMutablePointer<Mark>.allocate(capacity: markCapacity)
            larger.update(from: marks + markStart, count: count)
            marks.deallocate()
            marks = larger
        } else {
            marks.update(from: marks + markStart, count: count)
        }
        markStart = 0
        markEnd = count
    }

    /// How many events are in the frames that begin at or behind a place.
    func count(from place: Int) -> Int {
        let index = index { $0.place >= place }
        return index < markEnd ? events - marks[index].events : 0
    }

    /// The first frame that begins at or behind a place.
    func mark(from place: Int) -> Mark? {
        let index = index { $0.place >= place }
        return index < markEnd ? marks[index] : nil
    }

    /// Where a client goes on that has everything before an event; nil when the log does not reach
    /// back to it: it holds all that came at or behind `start`.
    func place(of sequence: UInt64, start: UInt64) -> Int? {
        if sequence < start { return nil }
        let index = index { $0.sequence >= sequence }
        return index < markEnd ? marks[index].place : end
    }

    private func index(where holds: (Mark) -> Bool) -> Int {
        var low = markStart
        var high = markEnd
        while low < high {
            let middle = (low + high) / 2
            if holds(marks[middle]) { high = middle } else { low = middle + 1 }
        }
        return low
    }

    /// Lets go of the frames before a place where a frame begins.
    mutating func cut(to place: Int) {
        markStart = index { $0.place >= place }
        bytes.consume(place - base)
        base = place
    }

    /// Lets go of everything. Memory that a burst needed is given back.
    mutating func removeAll() {
        base += bytes.count
        bytes.removeAll()
        markStart = 0
        markEnd = 0
    }

    /// Gives the memory back.
    mutating func shrink() {
        if bytes.isEmpty { bytes = ByteQueue(capacity: 0) }
    }
}
