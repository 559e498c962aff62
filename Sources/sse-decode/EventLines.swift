import StreamCodec
import StreamTool

/// The lines that events become.
struct EventLines {
    private let settings: DecodeOptions
    /// `"source":"NAME"`
    private var tag: [UInt8] = []

    init(_ settings: DecodeOptions) {
        self.settings = settings
    }

    /// An input begins.
    mutating func beginInput(_ name: String) {
        guard settings.tagsSource else { return }
        var queue = ByteQueue()
        queue.append("\"source\":")
        queue.append(quoting: name)
        tag = Array(queue.bytes)
    }

    /// Appends what is written of an event. False when that is nothing.
    @inline(__always)
    func append(
        _ fields: EventFields, _ data: UnsafeBufferPointer<UInt8>, to buffer: inout ByteQueue
    ) -> Bool {
        switch settings.form {
        case .records:
            append(fields, data, as: .text, to: &buffer)
        case .json:
            let isJSON = JSON.isValid(data, maxDepth: settings.common.maxDepth)
            append(fields, data, as: isJSON ? .json : .text, to: &buffer)
        case .data:
            return writeData(data, to: &buffer)
        case .text:
            return writeText(data, to: &buffer)
        }
        return true
    }

    /// A record of comments and a retry, where no event was dispatched.
    func append(note fields: EventFields, to buffer: inout ByteQueue) {
        buffer.appendRecord(fields, data: UnsafeBufferPointer(start: nil, count: 0), as: .none)
        if settings.tagsSource { tagRecord(&buffer) }
    }

    @inline(__always)
    private func append(
        _ fields: EventFields, _ data: UnsafeBufferPointer<UInt8>, as form: RecordData,
        to buffer: inout ByteQueue
    ) {
        if settings.all || fields.retry == nil {
            buffer.appendRecord(fields, data: data, as: form)
        } else {
            var plain = fields
            plain.retry = nil
            buffer.appendRecord(plain, data: data, as: form)
        }
        if settings.tagsSource { tagRecord(&buffer) }
    }

    /// The record that ends the buffer says where it came from.
    private func tagRecord(_ buffer: inout ByteQueue) {
        buffer.truncate(buffer.count - 2)
        buffer.append(UInt8(ascii: ","))
        buffer.append(tag)
        buffer.append("}\n")
    }

    /// False when there is nothing to write.
    @inline(__always)
    private func writeData(
        _ data: UnsafeBufferPointer<UInt8>, to buffer: inout ByteQueue
    ) -> Bool {
        guard settings.tagsSource else { return writeValue(data, to: &buffer) }
        let start = buffer.count
        buffer.append(UInt8(ascii: "{"))
        buffer.append(tag)
        buffer.append(",\"data\":")
        guard writeValue(data, to: &buffer) else {
            buffer.truncate(start)
            return false
        }
        buffer.truncate(buffer.count - 1)
        buffer.append("}\n")
        return true
    }

    @inline(__always)
    private func writeValue(
        _ data: UnsafeBufferPointer<UInt8>, to buffer: inout ByteQueue
    ) -> Bool {
        if let path = settings.get {
            guard let value = find(path, data) else { return false }
            buffer.append(jsonOnOneLine: data.slice(value))
        } else if JSON.isValid(data, maxDepth: settings.common.maxDepth) {
            buffer.append(jsonOnOneLine: data)
        } else {
            buffer.append(quoting: data)
        }
        buffer.append(UInt8(ascii: "\n"))
        return true
    }

    /// False when there is nothing to write.
    private func writeText(
        _ data: UnsafeBufferPointer<UInt8>, to buffer: inout ByteQueue
    ) -> Bool {
        guard let path = settings.get else {
            buffer.append(data)
            buffer.append(UInt8(ascii: "\n"))
            return true
        }
        guard let value = find(path, data), !data.slice(value).isEqual(to: "null") else {
            return false
        }
        let text = data.slice(value)
        guard text.first == UInt8(ascii: "\"") else {
            buffer.append(text)
            return true
        }
        buffer.append(replacing: text.slice(1..<(text.count - 1)))
        return true
    }

    /// Where the value stands, or nil when there is none or the data is no JSON.
    private func find(_ path: JSONPath, _ data: UnsafeBufferPointer<UInt8>) -> Range<Int>? {
        do throws(JSONError) {
            return try path.find(in: data, maxDepth: settings.common.maxDepth)
        } catch {
            return nil
        }
    }
}
