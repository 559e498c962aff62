import StreamCodec
import StreamTool

/// --latest: conflation. Of each key the newest line of an interval is written when it ends.
struct Latest: Sampler, ~Copyable {
    /// What is held of a key: a line, and how many came in this interval.
    private struct Newest {
        /// 0 when nothing is held.
        var lines = 0
        /// Where the line stands in `bytes`, and how much may stand there.
        var start = 0
        var size = 0
        var room = 0
    }

    private var strata: Strata<Newest>
    /// The lines that are held, each where there was room for it.
    private var bytes = ByteQueue(capacity: 64 << 10)
    /// Bytes of `bytes` that belong to no key any more.
    private var waste = 0
    /// Keys of which a line is held.
    private var held = 0

    init(_ settings: SampleOptions) {
        strata = Strata(settings)
    }

    var evictions: Int { strata.evictions }

    mutating func take(
        _ line: borrowing Line, _ sink: inout Sink, _ output: inout Output
    ) throws {
        let size = line.bytes.count
        try sink.checkAlone(size)
        let found = strata.find(line, fresh: Newest())
        if let evicted = found.evicted, evicted.lines > 0 {
            try write(evicted, &sink, &output)
            letGo(evicted, &sink)
        }
        var newest = strata.states[found.index]
        if newest.lines > 0 {
            try sink.passedOver(text(newest), &output)
            sink.release(newest.size)
        } else {
            held += 1
        }
        try makeRoom(for: size, &sink, &output)
        if size > newest.room {
            waste += newest.room
            // A little more, for the next line of the key may be a little longer.
            newest.room = size + size / 8
            newest.start = bytes.count
            _ = bytes.reserve(newest.room)
            bytes.commit(newest.room)
        }
        bytes.replace(at: newest.start, with: line.bytes)
        newest.size = size
        newest.lines += 1
        strata.states[found.index] = newest
        if waste > max(bytes.count / 2, 64 << 10) { compact() }
    }

    private func text(_ newest: Newest) -> UnsafeBufferPointer<UInt8> {
        bytes.bytes(newest.start..<(newest.start + newest.size))
    }

    /// Where there is too much to hold, the keys that came longest ago are written early.
    private mutating func makeRoom(
        for size: Int, _ sink: inout Sink, _ output: inout Output
    ) throws {
        // The line's own key is the latest of all and counted in `held`.
        while sink.isFull(for: size), held > 1, let oldest = strata.evictOldest() {
            let newest = strata.states[oldest]
            strata.states[oldest] = Newest()
            if newest.lines == 0 { continue }
            try write(newest, &sink, &output)
            letGo(newest, &sink)
        }
        try sink.hold(size)
    }

    private mutating func letGo(_ newest: Newest, _ sink: inout Sink) {
        sink.release(newest.size)
        waste += newest.room
        held -= 1
    }

    private func write(_ newest: Newest, _ sink: inout Sink, _ output: inout Output) throws {
        try sink.sampled(text(newest), rate: 1 / Double(newest.lines), &output)
    }

    /// Moves the lines together.
    private mutating func compact() {
        var moved = ByteQueue(capacity: bytes.count - waste)
        for index in strata.latest(while: { $0.lines > 0 }) {
            let start = moved.count
            moved.append(text(strata.states[index]))
            strata.states[index].start = start
            strata.states[index].room = strata.states[index].size
        }
        bytes = moved
        waste = 0
    }

    var isHolding: Bool { held > 0 }

    mutating func endInterval(_ sink: inout Sink, _ output: inout Output) throws {
        for index in strata.latest(while: { $0.lines > 0 }) {
            try write(strata.states[index], &sink, &output)
            sink.release(strata.states[index].size)
            strata.states[index] = Newest()
        }
        bytes.removeAll()
        waste = 0
        held = 0
    }

    mutating func writeSoFar(_ sink: inout Sink, _ output: inout Output) throws {
        for index in strata.latest(while: { $0.lines > 0 }) {
            try write(strata.states[index], &sink, &output)
        }
    }
}
