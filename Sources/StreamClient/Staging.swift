import StreamCodec

/// Bytes on their way into TLS, at an address that does not change.
struct Staging: ~Copyable {
    /// As much as one record of TLS carries (RFC 8446, section 5.1).
    private static let capacity = 16 << 10

    private var memory: UnsafeMutablePointer<UInt8>?
    private var head = 0
    private var tail = 0

    deinit { memory?.deallocate() }

    var count: Int { tail - head }

    var start: UnsafePointer<UInt8>? { memory.map { UnsafePointer($0 + head) } }

    /// Takes from the queue what fits, once everything before is gone.
    mutating func fill(from queue: inout ByteQueue) {
        guard count == 0, !queue.isEmpty else { return }
        let memory = self.memory ?? .allocate(capacity: Self.capacity)
        self.memory = memory
        head = 0
        tail = min(queue.count, Self.capacity)
        if let start = queue.bytes.baseAddress { memory.update(from: start, count: tail) }
        queue.consume(tail)
    }

    mutating func consume(_ size: Int) {
        precondition(size >= 0 && size <= count)
        head += size
    }

    mutating func removeAll() {
        head = 0
        tail = 0
    }
}
