/// Which channels are meant: a glob on names of levels between dots. "*" is one level, whatever it
/// is; "**" is any number of levels, also none.
package struct ChannelPattern: Sendable, Hashable, CustomStringConvertible {
    /// Why a text is no pattern.
    package struct ParseError: Error, Equatable, CustomStringConvertible {
        package var description: String

        init(_ text: String, _ reason: String) {
            description = "channel '\(text.shown)' \(reason)"
        }
    }

    /// Bytes of a pattern or a name.
    package static let maxLength = 255

    private let text: [UInt8]
    /// True for a name: without wildcards.
    package let isExact: Bool

    package init(_ text: String) throws(ParseError) {
        self.text = [UInt8](text.utf8)
        let star = UInt8(ascii: "*")
        isExact = !self.text.contains(star)
        if text.isEmpty { throw ParseError(text, "is empty") }
        if self.text.count > Self.maxLength {
            throw ParseError(text, "is longer than \(Self.maxLength) bytes")
        }
        for level in self.text.split(separator: Self.dot, omittingEmptySubsequences: false) {
            if level.isEmpty { throw ParseError(text, "has an empty level") }
            if level.contains(where: Self.isControl) {
                throw ParseError(text, "has a control character")
            }
            let isWildcard = level.count <= 2 && level.allSatisfy { $0 == star }
            if level.contains(star) && !isWildcard {
                throw ParseError(text, "has a * that is not a whole level: * or **")
            }
        }
    }

    /// As it was given.
    package var description: String { String(decoding: text, as: UTF8.self) }

    /// True for a name of a channel: UTF-8, with the rules of a pattern, and without wildcards.
    package static func isName(_ bytes: UnsafeBufferPointer<UInt8>) -> Bool {
        guard (1...maxLength).contains(bytes.count) else { return false }
        var isAtStart = true
        for index in 0..<bytes.count {
            let byte = unsafe bytes[index]
            if byte == UInt8(ascii: "*") || isControl(byte) || byte == dot && isAtStart {
                return false
            }
            isAtStart = byte == dot
        }
        return unsafe !isAtStart && UTF8Text.isValid(bytes)
    }

    private static let dot = UInt8(ascii: ".")

    private static func isControl(_ byte: UInt8) -> Bool { byte < 0x20 || byte == 0x7F }

    // MARK: Matching

    /// True when the pattern means this channel. An empty name is an event without a channel, which
    /// has no level: it takes a "**".
    package func matches(_ channel: UnsafeBufferPointer<UInt8>) -> Bool {
        if isExact { return unsafe channel.isEqual(to: text) }
        var steps = 0
        return unsafe matches(channel, steps: &steps)
    }

    /// The same, and adds the number of levels it looked at to `steps`: at most those of the name
    /// times those of the pattern. Only the last "**" can have to take one level more, for what
    /// stands before it matches as early as it can.
    package func matches(_ channel: UnsafeBufferPointer<UInt8>, steps: inout Int) -> Bool {
        unsafe text.withUnsafeBufferPointer { text in
            var pattern = unsafe Levels(text)
            var name = unsafe Levels(channel)
            var retry: (pattern: Levels, name: Levels)?
            while true {
                steps += 1
                if pattern.isAtAnyLevels {
                    pattern.next()
                    if pattern.isAtEnd { return true }
                    retry = (pattern, name)
                } else if name.isAtEnd {
                    return pattern.isAtEnd
                } else if !pattern.isAtEnd && pattern.matches(name) {
                    pattern.next()
                    name.next()
                } else if retry != nil {
                    retry!.name.next()
                    (pattern, name) = retry!
                } else {
                    return false
                }
            }
        }
    }
}

/// The levels of a text one after the other; an empty text has none. The text must outlive it.
@safe
private struct Levels {
    private let text: UnsafeBufferPointer<UInt8>
    /// Where the level stands. Behind the last one `start` is more than the length.
    private var start: Int
    private var end = 0

    init(_ text: UnsafeBufferPointer<UInt8>) {
        unsafe self.text = text
        start = text.count > 0 ? 0 : 1
        findEnd()
    }

    /// No level is left.
    var isAtEnd: Bool { unsafe start > text.count }

    /// The level is "**".
    var isAtAnyLevels: Bool {
        unsafe end - start == 2 && text[start] == UInt8(ascii: "*")
            && text[start + 1] == UInt8(ascii: "*")
    }

    /// True when the level is that of `name`, or "*".
    func matches(_ name: Levels) -> Bool {
        if unsafe end - start == 1 && text[start] == UInt8(ascii: "*") { return true }
        return unsafe text.slice(start..<end).isEqual(to: name.text.slice(name.start..<name.end))
    }

    mutating func next() {
        start = end + 1
        findEnd()
    }

    private mutating func findEnd() {
        end = start
        while unsafe end < text.count && text[end] != UInt8(ascii: ".") { end += 1 }
    }
}
