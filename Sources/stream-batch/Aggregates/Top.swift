import StreamCodec

/// The most frequent values: Space-Saving (A. Metwally, D. Agrawal and A. El Abbadi, Efficient
/// Computation of Frequent and Top-k Elements in Data Streams, 2005).
///
/// There are `limit` counters. While there are no more different values all counts are exact. Then
/// a new value takes the counter with the lowest count and starts from it, which is its error: a
/// count is at most its error too high and never too low, and every value that makes up more than
/// one `limit`th of all is there. Values are told apart by their 64-bit hashes.
struct Top {
    private struct Counter {
        var hash: UInt64
        var count: Int
        var error = 0
        /// The line of the run with which the value got the counter.
        var line: Int
        var value: TopValue
    }

    private let limit: Int
    private var counters: [Counter] = []
    private var index = HashIndex()
    /// When all counters are in use: their indices as a heap with the lowest count on top, and
    /// where in it each stands.
    private var heap: [Int32] = []
    private var places: [Int32] = []

    /// For the `count` most frequent values.
    init(count: Int) {
        limit = max(10 * count, 1000)
    }

    mutating func add(_ hash: UInt64, _ text: UnsafeBufferPointer<UInt8>, line: Int) {
        if let known = index.find(hash, { counters[$0].hash }) {
            counters[known].count += 1
            if !heap.isEmpty { sink(Int(places[known])) }
        } else if counters.count < limit {
            counters.append(Counter(hash: hash, count: 1, line: line, value: TopValue(text)))
            index.add(counters.count - 1) { counters[$0].hash }
            if counters.count == limit { makeHeap() }
        } else {
            let lowest = Int(heap[0])
            index.remove(lowest) { counters[$0].hash }
            let count = counters[lowest].count
            counters[lowest].hash = hash
            counters[lowest].count = count + 1
            counters[lowest].error = count
            counters[lowest].line = line
            counters[lowest].value.set(text)
            index.add(lowest) { counters[$0].hash }
            sink(0)
        }
    }

    /// What the other one may have missed of a value counts as an error, so that the promise
    /// holds for both together (P. K. Agarwal and others, Mergeable Summaries, 2012).
    mutating func merge(_ other: Top) {
        let missedHere = heap.isEmpty ? 0 : counters[Int(heap[0])].count
        let missedThere = other.heap.isEmpty ? 0 : other.counters[Int(other.heap[0])].count
        var isThere = [Bool](repeating: false, count: counters.count)
        var more: [Counter] = []
        for counter in other.counters {
            if let known = index.find(counter.hash, { counters[$0].hash }) {
                isThere[known] = true
                counters[known].count += counter.count
                counters[known].error += counter.error
                if counter.line < counters[known].line {
                    counters[known].line = counter.line
                    counters[known].value = counter.value
                }
            } else {
                more.append(counter)
                more[more.count - 1].count += missedHere
                more[more.count - 1].error += missedHere
            }
        }
        for known in isThere.indices where !isThere[known] {
            counters[known].count += missedThere
            counters[known].error += missedThere
        }
        counters += more
        counters = order.prefix(limit).map { counters[$0] }
        index = HashIndex()
        for place in counters.indices { index.add(place) { counters[$0].hash } }
        if counters.count == limit { makeHeap() }
    }

    /// Appends `[{"value":"a","count":3},…]`, the most frequent first; of equal ones those that
    /// came first.
    func append(_ count: Int, to queue: inout ByteQueue) {
        queue.append("[")
        var isFirst = true
        for index in order.prefix(count) {
            let counter = counters[index]
            queue.append(isFirst ? "{\"value\":" : ",{\"value\":")
            isFirst = false
            counter.value.append(to: &queue)
            queue.append(",\"count\":")
            queue.append(decimal: counter.count)
            if counter.error > 0 {
                queue.append(",\"error\":")
                queue.append(decimal: counter.error)
            }
            queue.append("}")
        }
        queue.append("]")
    }

    /// The indices of the counters, the most frequent first.
    private var order: [Int] {
        counters.indices.sorted { left, right in
            counters[left].count != counters[right].count
                ? counters[left].count > counters[right].count
                : counters[left].line < counters[right].line
        }
    }

    // MARK: The heap

    private mutating func makeHeap() {
        // In ascending order it is a heap.
        heap = order.reversed().map(Int32.init)
        places = Array(repeating: 0, count: heap.count)
        for (place, counter) in heap.enumerated() { places[Int(counter)] = Int32(place) }
    }

    /// Moves the counter at a place of the heap, whose count has grown, down to where it belongs.
    private mutating func sink(_ start: Int) {
        var place = start
        let moved = heap[place]
        let count = counters[Int(moved)].count
        while 2 * place + 1 < heap.count {
            var child = 2 * place + 1
            if child + 1 < heap.count
                && counters[Int(heap[child + 1])].count < counters[Int(heap[child])].count
            {
                child += 1
            }
            if counters[Int(heap[child])].count >= count { break }
            heap[place] = heap[child]
            places[Int(heap[place])] = Int32(place)
            place = child
        }
        heap[place] = moved
        places[Int(moved)] = Int32(place)
    }
}

/// A value as it is shown: its text, of a long one the start.
private struct TopValue {
    /// Bytes of a value that are kept.
    static let maxText = 512

    private var text: [UInt8] = []
    /// Of the value.
    private var size = 0

    init(_ value: UnsafeBufferPointer<UInt8>) {
        set(value)
    }

    mutating func set(_ value: UnsafeBufferPointer<UInt8>) {
        size = value.count
        text.removeAll(keepingCapacity: true)
        var end = min(size, Self.maxText)
        // No character is cut in two.
        while end < size && value[end] & 0xC0 == 0x80 { end -= 1 }
        text.append(contentsOf: value.slice(0..<end))
    }

    /// Appends the value, or the start of a long one's text as a string, and how long it is.
    func append(to queue: inout ByteQueue) {
        if text.count == size {
            queue.append(text)
            return
        }
        queue.append(quoting: text)
        queue.append(",\"bytes\":")
        queue.append(decimal: size)
    }
}
