import StreamCodec
import StreamTool

/// The place in the peer's stream that a new connection goes on behind: the last value at
/// --resume-from.
struct ResumePlace {
    /// Bytes of a value: it becomes part of a request.
    private static let longest = 1024

    private let path: JSONPath
    private let maxDepth: Int
    private(set) var value: String?
    private var hasWarned = false

    init(_ path: JSONPath, _ settings: CatOptions) {
        self.path = path
        maxDepth = settings.common.maxDepth
    }

    /// Takes the value of a message that has one there: a number, or a string that is not empty. Of
    /// several JSON values in one message the last that has one counts.
    mutating func take(_ message: UnsafeBufferPointer<UInt8>, _ report: Report) {
        if takeValue(message, report) { return }
        // A message that is no JSON is none of those that have a place.
        for value in jsonValues(in: message, maxDepth: maxDepth) ?? [] {
            _ = takeValue(message.slice(value), report)
        }
    }

    /// False when it is not one JSON value.
    private mutating func takeValue(
        _ message: UnsafeBufferPointer<UInt8>, _ report: Report
    ) -> Bool {
        let found: Range<Int>?
        do throws(JSONError) {
            found = try path.find(in: message, maxDepth: maxDepth)
        } catch {
            return false
        }
        guard let found, let first = message.slice(found).first else { return true }
        if found.count > Self.longest {
            if !hasWarned { report.warn("a value of --resume-from is too long, and passed over") }
            hasWarned = true
        } else if first == UInt8(ascii: "\"") {
            var text = ByteQueue()
            text.append(replacing: message.slice((found.lowerBound + 1)..<(found.upperBound - 1)))
            if !text.isEmpty { value = String(decoding: text.bytes, as: UTF8.self) }
        } else if first == UInt8(ascii: "-") || (UInt8(ascii: "0")...UInt8(ascii: "9")) ~= first {
            value = String(decoding: message.slice(found), as: UTF8.self)
        }
        return true
    }
}
