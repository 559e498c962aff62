import StreamCodec
import StreamTool

/// The value that a --keep names.
struct KeptValue {
    /// As it was given: the text of a string, or the JSON text of another value.
    let text: [UInt8]
    /// What it stands for when it was given as a JSON string.
    let string: [UInt8]?

    init(_ text: [UInt8]) {
        self.text = text
        string = text.withUnsafeBufferPointer { bytes in
            guard bytes.first == UInt8(ascii: "\""), JSON.isValid(bytes) else { return nil }
            var queue = ByteQueue()
            queue.append(replacing: bytes.slice(1..<(bytes.count - 1)))
            return Array(queue.bytes)
        }
    }
}

/// `PATH=VALUE`, cut at the first '=' outside quotes.
func condition(_ text: String) throws -> (path: JSONPath, value: KeptValue) {
    let bytes = Array(text.utf8)
    guard let split = JSONPath.firstOutsideQuotes(UInt8(ascii: "="), in: bytes) else {
        throw UsageError("expected PATH=VALUE, not '\(text)'")
    }
    do throws(JSONPath.ParseError) {
        let path = try JSONPath(String(decoding: bytes[..<split], as: UTF8.self))
        return (path, KeptValue(Array(bytes[(split + 1)...])))
    } catch {
        throw UsageError(error.description)
    }
}
