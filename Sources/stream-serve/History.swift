import StreamTool

/// The newest events, in the order of their sequence, without gaps.
///
/// Bounded by count, bytes and age. While a client lags behind, events beyond count and age are
/// kept for it, as far as the bytes allow.
final class History {
    /// Where in `memory` each event starts, by its sequence.
    private var places: UnsafeMutablePointer<Int>
    private var placeMask: UInt64
    /// A ring: an event that does not fit at the end stands at the start.
    private var memory: UnsafeMutableRawPointer
    private var capacity = 64 << 10
    /// Where the oldest event starts, and where the next one goes.
    private var head = 0
    private var tail = 0
    /// Bytes of all events in it.
    private(set) var bytes = 0
    /// The oldest event that is kept, and the one that comes next.
    private(set) var first: UInt64 = 1
    private(set) var next: UInt64 = 1
    /// Some event in it has an id that the publisher named.
    private(set) var hasOwnIDs = false
    private let limits: HistoryLimits
    /// Whether events have successors, for conflation.
    private let keepsKeys: Bool
    /// The newest event of each key.
    private var newest: [UInt64: UInt64] = [:]

    init(_ limits: HistoryLimits, keepsKeys: Bool) {
        self.limits = limits
        self.keepsKeys = keepsKeys
        placeMask = 1023
        places = .allocate(capacity: 1024)
        memory = .allocate(byteCount: capacity, alignment: 16)
    }

    deinit {
        places.deallocate()
        memory.deallocate()
    }

    var count: Int { Int(next - first) }

    /// The event with this sequence, which must be kept.
    @inline(__always)
    subscript(sequence: UInt64) -> StoredEvent {
        precondition(sequence >= first && sequence < next)
        return StoredEvent(memory + places[Int(sequence & placeMask)])
    }

    /// Takes a copy of an event, whose sequence is the next one.
    func append(_ event: StoredEvent) {
        precondition(event.head.pointee.sequence == next)
        let size = event.head.pointee.size
        let place = room(size)
        (memory + place).copyMemory(from: event.head, byteCount: size)
        if UInt64(count) > placeMask { growPlaces() }
        places[Int(next & placeMask)] = place
        tail = place + size
        bytes += size
        if event.head.pointee.hasOwnID { hasOwnIDs = true }
        if keepsKeys, event.head.pointee.key != 0 { supersede(event.head.pointee.key) }
        next += 1
    }

    private func supersede(_ key: UInt64) {
        if let old = newest.updateValue(next, forKey: key), old >= first {
            self[old].head.pointee.successor = next
        }
    }

    /// Lets go of what the limits do not allow, `now` in monotonic nanoseconds.
    func trim(now: UInt64, isLagged: Bool) {
        while first < next {
            let isTooMuch = bytes > limits.bytes && count > 1
            let isOver = count > limits.count || isTooOld(now)
            guard isTooMuch || (isOver && !isLagged) else { return }
            removeFirst()
        }
    }

    private func isTooOld(_ now: UInt64) -> Bool {
        guard let age = limits.age else { return false }
        return self[first].head.pointee.arrival + age < now
    }

    private func removeFirst() {
        let oldest = self[first].head
        if keepsKeys, newest[oldest.pointee.key] == first { newest[oldest.pointee.key] = nil }
        bytes -= oldest.pointee.size
        first += 1
        if first == next {
            head = 0
            tail = 0
        } else {
            head = places[Int(first & placeMask)]
        }
    }

    /// Where an event of this size goes.
    private func room(_ size: Int) -> Int {
        if tail >= head {
            if capacity - tail >= size { return tail }
            // The byte before the head stays free, so that a full ring is none that is empty.
            if size < head { return 0 }
        } else if size < head - tail {
            return tail
        }
        grow(by: size)
        return tail
    }

    private func grow(by size: Int) {
        capacity = 2 * capacity + size
        let larger = UnsafeMutableRawPointer.allocate(byteCount: capacity, alignment: 16)
        var end = 0
        for sequence in first..<next {
            let event = self[sequence]
            (larger + end).copyMemory(from: event.head, byteCount: event.head.pointee.size)
            let size = event.head.pointee.size
            places[Int(sequence & placeMask)] = end
            end += size
        }
        memory.deallocate()
        memory = larger
        head = 0
        tail = end
    }

    private func growPlaces() {
        let mask = placeMask * 2 + 1
        let larger = UnsafeMutablePointer<Int>.allocate(capacity: Int(mask) + 1)
        for sequence in first..<next {
            larger[Int(sequence & mask)] = places[Int(sequence & placeMask)]
        }
        places.deallocate()
        places = larger
        placeMask = mask
    }

    // MARK: Finding

    /// The event with this id, written as the contents of a JSON string; the newest of several.
    func find(id: [UInt8]) -> UInt64? {
        var sequence = next
        while sequence > first {
            sequence -= 1
            let event = self[sequence]
            if event.head.pointee.hasOwnID && event.id.unescapes(to: id) { return sequence }
        }
        return nil
    }

    /// The first event that came at or behind a point in time, monotonic nanoseconds.
    func find(arrival: UInt64) -> UInt64 {
        var low = first
        var high = next
        while low < high {
            let middle = low + (high - low) / 2
            let isBefore = self[middle].head.pointee.arrival < arrival
            if isBefore { low = middle + 1 } else { high = middle }
        }
        return low
    }
}

struct HistoryLimits: Sendable {
    var count = 10_000
    /// Also the most that clients may lag behind.
    var bytes = 64 << 20
    /// Nanoseconds.
    var age: UInt64?
}
