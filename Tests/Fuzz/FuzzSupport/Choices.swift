import CBytes

/// An input's decisions, taken from its end: the front stays the text that a seed or a
/// reproducer shows.
package struct Choices {
    /// What is left for the test.
    package private(set) var rest: [UInt8]

    package init(_ start: UnsafePointer<UInt8>?, _ size: Int) {
        rest = Array(UnsafeBufferPointer(start: start, count: size))
    }

    /// 0 when nothing is left.
    package mutating func byte() -> UInt8 { rest.popLast() ?? 0 }

    package mutating func flag() -> Bool { byte() & 1 == 1 }

    /// A number from 0 to `limit`.
    package mutating func number(upTo limit: Int) -> Int {
        let wide = Int(byte()) | (limit > 255 ? Int(byte()) << 8 : 0)
        return wide % (limit + 1)
    }

    /// Makes the codecs do without some of the instructions that this machine has.
    package mutating func limitVectors() {
        cb_limit_vectors([64, 16, 0][number(upTo: 2)])
    }

    /// How reads may cut a stream: see `Cuts`.
    package mutating func cuts() -> Cuts { Cuts(mode: byte(), seed: UInt32(byte())) }
}

/// Where a stream is cut into reads.
package struct Cuts {
    private let longest: Int
    private var state: UInt32

    /// All at once.
    package static let none = Cuts(longest: .max, state: 0)
    /// Byte by byte.
    package static let everywhere = Cuts(longest: 1, state: 0)

    private init(longest: Int, state: UInt32) {
        self.longest = longest
        self.state = state
    }

    init(mode: UInt8, seed: UInt32) {
        // Short reads in every other input: cuts within a field name are the rare ones.
        longest = mode & 1 == 0 ? 1 + Int(mode >> 1) & 7 : 1 + Int(mode)
        state = seed
    }

    /// The reads, none of them empty.
    package func reads(of bytes: [UInt8]) -> [ArraySlice<UInt8>] {
        var state = state
        var reads: [ArraySlice<UInt8>] = []
        var rest = bytes[...]
        while !rest.isEmpty {
            state = state &* 1_664_525 &+ 1_013_904_223
            let size = longest == .max ? rest.count : 1 + Int(state >> 16) % longest
            reads.append(rest.prefix(size))
            rest = rest.dropFirst(size)
        }
        return reads
    }
}
