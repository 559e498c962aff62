import CBytes

/// Bytes that wait: received and not yet understood, or encoded and not yet written.
///
/// A queue is one block of memory. Offsets count from the first byte that was not
/// consumed, and stay true until the next `consume`.
@safe
package struct ByteQueue: ~Copyable {
    private var memory: UnsafeMutablePointer<UInt8>
    private var capacity: Int
    private var head = 0
    private var tail = 0

    package init(capacity: Int = 4096) {
        self.capacity = capacity
        unsafe memory = .allocate(capacity: capacity)
    }

    deinit {
        unsafe memory.deallocate()
    }

    @inline(__always)
    package var count: Int { tail - head }

    @inline(__always)
    package var isEmpty: Bool { tail == head }

    /// The bytes in the queue. Valid until the queue is changed.
    @inline(__always)
    package var bytes: UnsafeBufferPointer<UInt8> {
        // In bounds: 0 <= head <= tail <= capacity always holds.
        unsafe UnsafeBufferPointer(start: memory + head, count: tail - head)
    }

    /// The bytes at `range`. Valid until the queue is changed.
    @inline(__always)
    package func bytes(_ range: Range<Int>) -> UnsafeBufferPointer<UInt8> {
        precondition(range.lowerBound >= 0 && range.upperBound <= tail - head)
        return unsafe UnsafeBufferPointer(
            start: memory + head + range.lowerBound, count: range.count)
    }

    /// The `size` bytes that were consumed last: they are still there while the queue is not empty
    /// and nothing was appended since. Valid until the queue is changed.
    package func consumed(_ size: Int) -> UnsafeBufferPointer<UInt8> {
        precondition(size >= 0 && size <= head)
        return unsafe UnsafeBufferPointer(start: memory + head - size, count: size)
    }

    @inline(__always)
    package subscript(offset: Int) -> UInt8 {
        precondition(offset >= 0 && offset < tail - head)
        return unsafe memory[head + offset]
    }

    /// Takes the first `size` bytes away.
    @inline(__always)
    package mutating func consume(_ size: Int) {
        precondition(size >= 0 && size <= tail - head)
        head += size
        if head == tail {
            head = 0
            tail = 0
        }
    }

    package mutating func removeAll() {
        head = 0
        tail = 0
    }

    /// Cuts the queue to its first `size` bytes.
    package mutating func truncate(_ size: Int) {
        precondition(size >= 0 && size <= tail - head)
        tail = head + size
    }

    // MARK: Appending

    /// Room for `size` bytes behind the queue, which `commit` then takes in.
    @inline(__always)
    package mutating func reserve(_ size: Int) -> UnsafeMutablePointer<UInt8> {
        if capacity - tail < size {
            makeRoom(size)
        }
        return unsafe memory + tail
    }

    @inline(__always)
    package mutating func commit(_ size: Int) {
        precondition(size >= 0 && size <= capacity - tail)
        tail += size
    }

    @inline(never)
    private mutating func makeRoom(_ size: Int) {
        let count = tail - head
        // Moving to the front is worth it while it frees half of the block.
        if count + size <= capacity && count <= capacity / 2 {
            unsafe memory.update(from: memory + head, count: count)
        } else {
            capacity = max(2 * capacity, count + size)
            let larger = UnsafeMutablePointer<UInt8>.allocate(capacity: capacity)
            unsafe larger.update(from: memory + head, count: count)
            unsafe memory.deallocate()
            unsafe memory = larger
        }
        head = 0
        tail = count
    }

    @inline(__always)
    package mutating func append(_ byte: UInt8) {
        let end = unsafe reserve(1)
        unsafe end.pointee = byte
        tail += 1
    }

    @inline(__always)
    package mutating func append(_ more: UnsafeBufferPointer<UInt8>) {
        guard let start = more.baseAddress else { return }
        let end = unsafe reserve(more.count)
        unsafe end.update(from: start, count: more.count)
        tail += more.count
    }

    @inline(__always)
    package mutating func append(_ text: StaticString) {
        let end = unsafe reserve(text.utf8CodeUnitCount)
        unsafe end.update(from: text.utf8Start, count: text.utf8CodeUnitCount)
        tail += text.utf8CodeUnitCount
    }

    package mutating func append(_ array: [UInt8]) {
        unsafe array.withUnsafeBufferPointer { unsafe append($0) }
    }

    package mutating func append(string text: String) {
        var text = text
        text.withUTF8 { unsafe append($0) }
    }

    /// The number in decimal.
    package mutating func append(decimal number: Int) {
        append(string: String(number))
    }

    // MARK: Changing in place

    /// Moves the bytes at `range` so that they start at `offset`, inside the queue.
    package mutating func move(_ range: Range<Int>, to offset: Int) {
        precondition(range.lowerBound >= 0 && range.upperBound <= count)
        precondition(offset >= 0 && offset + range.count <= count)
        unsafe (memory + head + offset).update(
            from: memory + head + range.lowerBound, count: range.count)
    }

    /// Masks the bytes at `range`, or unmasks them, with the key that belongs to the first of them.
    /// RFC 6455 section 5.3.
    package mutating func mask(_ range: Range<Int>, key: UInt32) {
        precondition(range.lowerBound >= 0 && range.upperBound <= count)
        unsafe cb_mask(memory + head + range.lowerBound, range.count, key)
    }

    package mutating func replace(at offset: Int, with byte: UInt8) {
        precondition(offset >= 0 && offset < count)
        unsafe memory[head + offset] = byte
    }

    /// The bytes at `offset` and behind become `more`.
    package mutating func replace(at offset: Int, with more: UnsafeBufferPointer<UInt8>) {
        precondition(offset >= 0 && offset + more.count <= count)
        guard let start = more.baseAddress else { return }
        unsafe (memory + head + offset).update(from: start, count: more.count)
    }

    /// Every `old` byte at or behind `start` becomes `new`.
    package mutating func replaceAll(_ old: UInt8, with new: UInt8, from start: Int) {
        precondition(start >= 0 && start <= count)
        for position in (head + start)..<tail where unsafe memory[position] == old {
            unsafe memory[position] = new
        }
    }
}

extension UnsafeBufferPointer<UInt8> {
    /// True when the bytes are those of `text`.
    @inline(__always)
    package func isEqual(to text: StaticString) -> Bool {
        guard count == text.utf8CodeUnitCount else { return false }
        for index in 0..<count where unsafe self[index] != text.utf8Start[index] {
            return false
        }
        return true
    }

    package func isEqual(to array: [UInt8]) -> Bool {
        guard count == array.count else { return false }
        guard let start = baseAddress, count > 0 else { return true }
        return unsafe array.withUnsafeBytes { unsafe memcmp(start, $0.baseAddress!, count) } == 0
    }

    @inline(__always)
    package func isEqual(to other: UnsafeBufferPointer<UInt8>) -> Bool {
        guard count == other.count else { return false }
        guard let start = baseAddress, let other = other.baseAddress else { return count == 0 }
        return unsafe memcmp(start, other, count) == 0
    }

    /// The bytes at `range`, which must lie inside.
    @inline(__always)
    package func slice(_ range: Range<Int>) -> UnsafeBufferPointer<UInt8> {
        precondition(range.lowerBound >= 0 && range.upperBound <= count)
        return unsafe UnsafeBufferPointer(rebasing: self[range])
    }
}
