import CBytes

/// The steps of a path in memory of their own, without a counted reference: a lookup compares
/// keys millions of times a second.
@safe
final class PlainSteps: @unchecked Sendable {
    /// Valid as long as this object is.
    let path: PlainPath
    private let steps: UnsafeMutableBufferPointer<PlainStep>
    private let keys: UnsafeMutableBufferPointer<UInt8>

    init(_ steps: [JSONPath.Step]) {
        let bytes = steps.flatMap { $0.key ?? [] }
        unsafe keys = .allocate(capacity: max(1, bytes.count))
        _ = unsafe keys.initialize(from: bytes)
        unsafe self.steps = .allocate(capacity: max(1, steps.count))
        var offset = 0
        for (index, step) in steps.enumerated() {
            let size = step.key?.count ?? 0
            let key = unsafe UnsafeBufferPointer(rebasing: keys[offset..<(offset + size)])
            unsafe self.steps.initializeElement(
                at: index, to: PlainStep(step.key == nil ? nil : key, index: step.index ?? -1))
            offset += size
        }
        path = unsafe PlainPath(steps: UnsafePointer(self.steps.baseAddress!), count: steps.count)
    }

    deinit {
        unsafe steps.deallocate()
        unsafe keys.deallocate()
    }
}

extension JSONPath.Step {
    /// Of the member that it leads into.
    fileprivate var key: [UInt8]? {
        switch self {
        case .key(let key), .either(key: let key, index: _): key
        case .index: nil
        }
    }

    /// Of the element that it leads into.
    fileprivate var index: Int? {
        switch self {
        case .index(let index), .either(key: _, index: let index): index
        case .key: nil
        }
    }
}

/// A path as a lookup follows it.
@safe
struct PlainPath {
    fileprivate(set) var steps: UnsafePointer<PlainStep>
    let count: Int
}

@safe
struct PlainStep {
    private let key: UnsafeBufferPointer<UInt8>
    /// Of the element that it leads into, or -1.
    let index: Int
    /// For each first byte that the key may have as it is written, the bit whose number is that
    /// of the byte modulo 64; 0 when it leads into no member.
    let firstBytes: UInt64
    /// A key with a backslash is never written as it is.
    private let isPlain: Bool

    fileprivate init(_ key: UnsafeBufferPointer<UInt8>?, index: Int) {
        unsafe self.key = unsafe key ?? UnsafeBufferPointer(start: nil, count: 0)
        self.index = index
        isPlain = unsafe key.map { unsafe !$0.contains(UInt8(ascii: "\\")) } ?? false
        let bit = { (byte: UInt8) in 1 << UInt64(byte & 63) as UInt64 }
        // An empty key has its closing quote there.
        let first = unsafe key.map { unsafe $0.first ?? UInt8(ascii: "\"") }
        firstBytes = first.map { bit($0) | bit(UInt8(ascii: "\\")) } ?? 0
    }

    /// True when it leads into the member whose key stands there as it is written.
    @inline(__always)
    func leads(into name: UnsafeBufferPointer<UInt8>) -> Bool {
        if unsafe name.count == key.count { return unsafe isPlain && name.isEqual(to: key) }
        // An escape makes the name longer than the key.
        if unsafe name.count < key.count || firstBytes == 0 { return false }
        return unsafe name.contains(UInt8(ascii: "\\")) && name.unescapes(to: Array(key))
    }
}
