import StreamCodec

/// What servers send in place of what was asked for, in the middle of a stream or as the whole
/// answer. It tells an error by the event's type, or by members of its data.
struct ErrorSigns {
    /// Bytes of an error that a diagnostic shows.
    private static let shown = 400
    /// Types of events, and values of a member `type` where the stream has no event lines: `error`
    /// of Anthropic and OpenAI, and the ends of a response of OpenAI that is not complete. Others
    /// that end in "failed" are about one tool call.
    private static let types = ["error", "response.failed", "response.incomplete"]
        .map { [UInt8]($0.utf8) }
    private static let paths = [
        ".error", ".type", ".object", ".response.error", ".response.incomplete_details",
    ]

    private var members: JSONPaths
    private let maxDepth: Int

    init(maxDepth: Int) throws {
        members = JSONPaths(try Self.paths.map { try JSONPath($0) })
        self.maxDepth = maxDepth
    }

    /// What an event reports, on one line; nil when that is no error.
    mutating func error(type: [UInt8], _ data: UnsafeBufferPointer<UInt8>) -> String? {
        let isError = Self.types.contains(type)
        guard data.first(where: { $0 > UInt8(ascii: " ") }) == UInt8(ascii: "{") else {
            return isError ? Self.line(data) : nil
        }
        do throws(JSONError) {
            try members.find(in: data, maxDepth: maxDepth)
        } catch {
            return isError ? Self.line(data) : nil
        }
        let says = isError || value(0, data) != nil || names(1, data) || names(2, data)
        return says ? Self.line(value(3, data) ?? value(4, data) ?? data) : nil
    }

    /// A member that says something.
    private func value(
        _ index: Int, _ data: UnsafeBufferPointer<UInt8>
    ) -> UnsafeBufferPointer<UInt8>? {
        guard let range = members.found[index] else { return nil }
        let value = data.slice(range)
        return value.isEqual(to: "null") || value.isEqual(to: "false") ? nil : value
    }

    /// The member is a string that is one of the types.
    private func names(_ index: Int, _ data: UnsafeBufferPointer<UInt8>) -> Bool {
        guard let value = value(index, data), value.first == UInt8(ascii: "\"") else {
            return false
        }
        let contents = value.slice(1..<(value.count - 1))
        return Self.types.contains { contents.unescapes(to: $0) }
    }

    private static func line(_ bytes: UnsafeBufferPointer<UInt8>) -> String {
        String(decoding: bytes.prefix(shown), as: UTF8.self).split(whereSeparator: \.isWhitespace)
            .joined(separator: " ")
    }
}
