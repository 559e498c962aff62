/// What tells lines apart by the values at some paths in them.
@safe
package struct JSONKey: ~Copyable {
    private var buffer = ByteQueue(capacity: 256)

    package init() {}

    /// The key by the values at the first `count` of `paths`, at least one, as they were found in
    /// `line`: of one value its JSON text, see `append(key:)`; of several those with a byte 0xFF
    /// between them. A value that is not there is null, as in jq. Valid until the next call, as
    /// long as the line is.
    @inline(__always)
    package mutating func make(
        _ line: UnsafeBufferPointer<UInt8>, _ paths: borrowing JSONPaths, count: Int
    ) -> UnsafeBufferPointer<UInt8> {
        if count == 1, let range = paths.found[0] {
            let value = unsafe line.slice(range)
            if unsafe !value.hasEscape { return unsafe value }
        }
        return unsafe gather(line, paths, count: count)
    }

    private mutating func gather(
        _ line: UnsafeBufferPointer<UInt8>, _ paths: borrowing JSONPaths, count: Int
    ) -> UnsafeBufferPointer<UInt8> {
        buffer.removeAll()
        for slot in 0..<count {
            // 0xFF stands in no UTF-8, so that no two lists of values look the same.
            if slot > 0 { buffer.append(0xFF) }
            if let range = paths.found[slot] {
                unsafe buffer.append(key: line.slice(range))
            } else {
                buffer.append("null")
            }
        }
        return unsafe buffer.bytes
    }
}

extension ByteQueue {
    /// Appends the value as it is written, but of a string that has escapes the text in quotes:
    /// equal strings are equal, however they are written.
    package mutating func append(key value: UnsafeBufferPointer<UInt8>) {
        let start = count
        if unsafe value.hasEscape {
            append(UInt8(ascii: "\""))
            do throws(LoneSurrogate) {
                try unsafe append(unescaping: value.slice(1..<(value.count - 1)))
                append(UInt8(ascii: "\""))
                return
            } catch {
                // There is no such text, so it is taken as it is written.
                truncate(start)
            }
        }
        unsafe append(value)
    }
}

extension UnsafeBufferPointer<UInt8> {
    /// True for a JSON string with a backslash in it.
    package var hasEscape: Bool {
        unsafe first == UInt8(ascii: "\"") && contains(UInt8(ascii: "\\"))
    }
}
