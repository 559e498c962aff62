/// Paths that are looked up together, in one pass over the text.
package struct JSONPaths {
    /// So many paths can be looked up at once: one bit for each.
    package static let limit = 64

    private let paths: [JSONPath]
    private let plain: [PlainPath]
    /// For each path where its value stands in the text of the last `find`, or nil.
    package private(set) var found: [Range<Int>?]

    /// At most `limit` paths.
    package init(_ paths: [JSONPath]) {
        precondition(paths.count <= Self.limit)
        self.paths = paths
        plain = paths.map(\.plain.path)
        found = Array(repeating: nil, count: paths.count)
    }

    package var isEmpty: Bool { paths.isEmpty }

    /// Finds the value of each path. The whole text is validated on the way. Of equal keys in an
    /// object the last one counts, as in jq.
    package mutating func find(
        in bytes: UnsafeBufferPointer<UInt8>, maxDepth: Int = JSON.defaultMaxDepth
    ) throws(JSONError) {
        var lookup = unsafe JSONLookup(bytes, maxDepth: maxDepth)
        let plain = plain
        try unsafe found.withUnsafeMutableBufferPointer { found throws(JSONError) in
            try unsafe plain.withUnsafeBufferPointer { paths throws(JSONError) in
                try unsafe lookup.run(paths, found)
            }
        }
    }
}

/// One pass over a text for several paths.
@safe
struct JSONLookup {
    private let bytes: UnsafeBufferPointer<UInt8>
    private var scanner: JSONScanner

    @inline(__always)
    init(_ bytes: UnsafeBufferPointer<UInt8>, maxDepth: Int) {
        unsafe self.bytes = bytes
        scanner = unsafe JSONScanner(bytes, maxDepth: maxDepth)
    }

    /// Sets each of `found` to where the value of its path stands, or to nil.
    @inline(__always)
    mutating func run(
        _ paths: UnsafeBufferPointer<PlainPath>, _ found: UnsafeMutableBufferPointer<Range<Int>?>
    ) throws(JSONError) {
        for index in found.indices { unsafe found[index] = nil }
        do throws(JSONError) {
            scanner.skipWhitespace()
            let all = paths.isEmpty ? 0 : UInt64.max >> UInt64(64 - paths.count)
            try unsafe find(all, step: 0, paths, found)
            try scanner.finish()
        } catch {
            throw scanner.earliest(error)
        }
    }

    /// Consumes a value. `active` has a bit for each path that leads here by its first `step`
    /// steps.
    private mutating func find(
        _ active: UInt64, step: Int, _ paths: UnsafeBufferPointer<PlainPath>,
        _ found: UnsafeMutableBufferPointer<Range<Int>?>
    ) throws(JSONError) {
        let ended = select(active) { unsafe paths[$0].count == step }
        let further = active & ~ended
        let start = scanner.position
        switch scanner.next {
        case UInt8(ascii: "{") where further != 0:
            try unsafe findInObject(further, step: step, paths, found)
        case UInt8(ascii: "[") where further != 0:
            try unsafe findInArray(further, step: step, paths, found)
        default:
            try scanner.skipValue()
        }
        let range = start..<scanner.position
        _ = select(ended) {
            unsafe found[$0] = range
            return true
        }
    }

    private mutating func findInObject(
        _ active: UInt64, step: Int, _ paths: UnsafeBufferPointer<PlainPath>,
        _ found: UnsafeMutableBufferPointer<Range<Int>?>
    ) throws(JSONError) {
        try scanner.enter()
        var isFirst = true
        let bytes = unsafe bytes
        // Most keys of an object are told apart from the wanted ones by their first byte.
        var firsts: UInt64 = 0
        _ = select(active) {
            unsafe firsts |= paths[$0].steps[step].firstBytes
            return true
        }
        var matching: UInt64 = 0
        while try scanner.nextKey(
            isFirst: isFirst,
            where: { key in
                let first = unsafe bytes[key.lowerBound]
                if firsts & (1 << UInt64(first & 63)) == 0 { return false }
                let name = unsafe bytes.slice(key)
                matching = select(active) { unsafe paths[$0].steps[step].leads(into: name) }
                return matching != 0
            }) != nil
        {
            isFirst = false
            // An equal key before this one does not count.
            _ = select(matching) {
                unsafe found[$0] = nil
                return true
            }
            try unsafe find(matching, step: step + 1, paths, found)
        }
    }

    private mutating func findInArray(
        _ active: UInt64, step: Int, _ paths: UnsafeBufferPointer<PlainPath>,
        _ found: UnsafeMutableBufferPointer<Range<Int>?>
    ) throws(JSONError) {
        try scanner.enter()
        var index = 0
        while try scanner.nextElement(isFirst: index == 0) {
            let matching = select(active) { unsafe paths[$0].steps[step].index == index }
            if matching == 0 {
                try scanner.skipValue()
            } else {
                try unsafe find(matching, step: step + 1, paths, found)
            }
            index += 1
        }
    }
}

/// The bits of `active` for whose path `condition` holds.
@inline(__always)
private func select(_ active: UInt64, _ condition: (Int) -> Bool) -> UInt64 {
    var left = active
    var selected: UInt64 = 0
    while left != 0 {
        if condition(left.trailingZeroBitCount) { selected |= left & (~left &+ 1) }
        left &= left &- 1
    }
    return selected
}
