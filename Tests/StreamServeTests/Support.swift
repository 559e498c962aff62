import StreamCodec
import StreamTool
import Testing

@testable import stream_serve

/// Events as the publisher makes them, one behind the other.
final class Events {
    static let epoch = Array("e".utf8)

    private var packer: EventPacker
    private var batch = ByteQueue()
    /// Where in the batch each event starts.
    private var places: [Int] = []
    var arrival: UInt64 = 1

    convenience init() { self.init { _ in } }

    init(_ change: (inout ServeOptions) throws -> Void) rethrows {
        var settings = ServeOptions()
        try change(&settings)
        packer = EventPacker(settings, epoch: Self.epoch)
        // Events are pointers into it, which may be used behind the last mention of it.
        _ = Unmanaged.passRetained(self)
    }

    var count: Int { places.count }

    /// The sequence that comes next.
    var next: UInt64 { packer.sequence }

    /// Valid until the next event is added.
    subscript(index: Int) -> StoredEvent {
        let bytes = batch.bytes(places[index]..<batch.count)
        return StoredEvent(UnsafeMutableRawPointer(mutating: bytes.baseAddress!))
    }

    var last: StoredEvent { self[count - 1] }

    func add(_ line: [UInt8]) throws(RecordError) {
        let start = batch.count
        let packed = Result { () throws(RecordError) in
            try line.withUnsafeBufferPointer { line throws(RecordError) in
                try packer.append(line, arrival: arrival, to: &batch)
            }
        }
        try packed.get()
        places.append(start)
    }

    func add(_ line: String) throws(RecordError) { try add(Array(line.utf8)) }

    /// Adds what a client's message becomes, and returns its id.
    @discardableResult
    func add(_ message: Inbox.Message) -> String {
        places.append(batch.count)
        return packer.append(message, arrival: arrival, to: &batch)
    }

    /// Bytes of all events, with their heads.
    var size: Int { batch.count }
}

/// What a line becomes, alone.
func pack(
    _ line: String, _ change: (inout ServeOptions) throws -> Void = { _ in }
) throws -> Events {
    let events = try Events(change)
    try events.add(line)
    return events
}

/// The event record that a line becomes.
func record(
    _ line: String, _ change: (inout ServeOptions) throws -> Void = { _ in }
) throws -> String {
    text(try pack(line, change)[0].record)
}

/// Why a line is no event; nil when it is one.
func problem(
    _ line: String, _ change: (inout ServeOptions) throws -> Void = { _ in }
) throws -> RecordError? {
    do {
        _ = try pack(line, change)
        return nil
    } catch let error as RecordError {
        return error
    }
}

func text(_ bytes: UnsafeBufferPointer<UInt8>) -> String { String(decoding: bytes, as: UTF8.self) }

/// What an event is in a form.
func render(_ event: StoredEvent, _ wire: Form.Wire, isRecord: Bool = false) -> [UInt8] {
    var queue = ByteQueue()
    Form(wire: wire, isRecord: isRecord).append(event, to: &queue)
    return Array(queue.bytes)
}

func renderText(_ event: StoredEvent, _ wire: Form.Wire, isRecord: Bool = false) -> String {
    String(decoding: render(event, wire, isRecord: isRecord), as: UTF8.self)
}

/// What sse-encode -r writes for a record; nil when it refuses it.
func encoded(_ record: UnsafeBufferPointer<UInt8>) -> [UInt8]? {
    var queue = ByteQueue()
    do throws(RecordError) {
        try queue.append(try EventRecord(record), of: record)
    } catch {
        return nil
    }
    return Array(queue.bytes)
}

extension JSON {
    static func isValid(_ bytes: [UInt8]) -> Bool {
        bytes.withUnsafeBufferPointer { isValid($0) }
    }
}

extension Array<UInt8> {
    init(_ text: String) { self = Array(text.utf8) }

    var text: String { String(decoding: self, as: UTF8.self) }
}
