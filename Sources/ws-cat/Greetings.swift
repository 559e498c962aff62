import StreamCodec
import StreamTool

extension CatOptions {
    /// The messages of --on-open and --on-open-line, files read just now.
    func greetingMessages() throws -> [Message] {
        var messages: [Message] = []
        var scratch = ByteQueue()
        for greeting in greetings {
            switch greeting {
            case .line(var line):
                try line.withUTF8 { try append($0, of: "-e", 1, &scratch, to: &messages) }
            case .file(let path):
                var queue = ByteQueue()
                queue.append(try request.files.contents(path))
                var lines = MessageReader(self, ofLines: true)
                try append(&lines, &queue, of: path, &scratch, to: &messages)
            }
        }
        return messages
    }

    private func append(
        _ lines: inout MessageReader, _ queue: inout ByteQueue, of path: String,
        _ scratch: inout ByteQueue, to messages: inout [Message]
    ) throws {
        while true {
            switch try lines.next(&queue, atEnd: true) {
            case .more: return
            case .piece(let range):
                try append(queue.bytes(range), of: path, lines.number, &scratch, to: &messages)
            case .tooLong:
                throw Failure(
                    .badData, "line longer than \(common.maxLine) bytes (see --max-line)",
                    at: Place(path, line: lines.number))
            }
        }
    }

    private func append(
        _ line: UnsafeBufferPointer<UInt8>, of name: String, _ number: Int,
        _ scratch: inout ByteQueue, to messages: inout [Message]
    ) throws {
        do throws(LineError) {
            // A line is text, whatever standard input is.
            let form = form == .binary ? .text : form
            _ = try message(from: line, form, &scratch) {
                messages.append(Message(kind: $0, payload: Array($1)))
            }
        } catch {
            throw Failure(
                .badData, error.reason,
                at: Place(name, line: number, byte: error.offset.map { $0 + 1 }))
        }
    }
}
