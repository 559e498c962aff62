import StreamCodec
import StreamTool

/// By what a request is known in a state file.
struct RequestKey: Equatable {
    /// The URL without credentials and without the values of its query.
    var url: String
    /// A hash of all that a request asks by; nil for a GET that its URL says all of.
    var request: String?
}

/// A line of a state file: how far a request has come, or what stands in an output.
enum StateLine {
    /// `output`: with --exactly-once, where its events are.
    case place(RequestKey, id: [UInt8]?, output: String?)
    case output(OutputPlace)
    /// As an earlier version had it: without the output that the length is of.
    case length(RequestKey, id: [UInt8]?)
}

/// How much of a file belongs to the ids of the state, and by what the file is known again.
struct OutputPlace: Equatable {
    /// Its own name, absolute.
    var path: String
    /// What the ids stand for.
    var prefix: FilePrefix
    /// The size of the file when its last run ended in order; nil while one runs, or was killed.
    var end: Int?
}

extension StateLine {
    /// Nil for what is no such line.
    init?(_ line: UnsafeBufferPointer<UInt8>, maxDepth: Int) {
        let object = StateObject(line: line, maxDepth: maxDepth)
        let output = object.text(".output")
        if let url = object.text(".url") {
            let key = RequestKey(url: url, request: object.text(".request"))
            let id = object.bytes(".last_event_id")
            if output == nil && object.number(".length") != nil {
                self = .length(key, id: id)
            } else {
                self = .place(key, id: id, output: output)
            }
            return
        }
        guard let output, let length = object.number(".length"), let head = object.hash(".head"),
            let tail = object.hash(".tail")
        else { return nil }
        let prefix = FilePrefix(offset: length, head: head, tail: tail)
        self = .output(OutputPlace(path: output, prefix: prefix, end: object.number(".end")))
    }

    /// The request that the line is of, and its last event id.
    var source: (key: RequestKey, id: [UInt8]?)? {
        switch self {
        case .place(let key, let id, _), .length(let key, let id): (key, id)
        case .output: nil
        }
    }

    func append(to queue: inout ByteQueue) {
        switch self {
        case .place(let key, let id, let output):
            queue.append("{\"url\":")
            queue.append(quoting: key.url)
            if let request = key.request { queue.append(string: ",\"request\":\"\(request)\"") }
            if let id {
                queue.append(",\"last_event_id\":")
                queue.append(quoting: id)
            }
            if let output {
                queue.append(",\"output\":")
                queue.append(quoting: output)
            }
        case .output(let place):
            queue.append("{\"output\":")
            queue.append(quoting: place.path)
            queue.append(string: ",\"length\":\(place.prefix.offset)")
            if let end = place.end { queue.append(string: ",\"end\":\(end)") }
            queue.append(string: ",\"head\":\"\(String(place.prefix.head, radix: 16))\"")
            queue.append(string: ",\"tail\":\"\(String(place.prefix.tail, radix: 16))\"")
        case .length: preconditionFailure("of an earlier version")
        }
        queue.append("}\n")
    }
}

/// The members of a line.
private struct StateObject {
    let line: UnsafeBufferPointer<UInt8>
    let maxDepth: Int

    func bytes(_ path: String) -> [UInt8]? {
        do {
            guard let range = try JSONPath(path).find(in: line, maxDepth: maxDepth) else {
                return nil
            }
            let value = line.slice(range)
            guard value.first == UInt8(ascii: "\"") else { return Array(value) }
            var queue = ByteQueue()
            queue.append(replacing: value.slice(1..<(value.count - 1)))
            return Array(queue.bytes)
        } catch {
            return nil
        }
    }

    func text(_ path: String) -> String? {
        bytes(path).map { String(decoding: $0, as: UTF8.self) }
    }

    func number(_ path: String) -> Int? {
        text(path).flatMap { Int($0) }.flatMap { $0 >= 0 ? $0 : nil }
    }

    func hash(_ path: String) -> UInt64? { text(path).flatMap { UInt64($0, radix: 16) } }
}
