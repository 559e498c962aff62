import StreamCodec

/// Which events a client wants. All of them, unless it names channels or events.
struct Filter: Hashable {
    /// Nil: every channel, and events without one. Empty: nothing.
    var channels: [ChannelPattern]?
    /// Names of types; nil: all.
    var events: [[UInt8]]?

    var isAll: Bool { channels == nil && events == nil }
    var isNothing: Bool { channels?.isEmpty ?? false }

    func matches(channel: UnsafeBufferPointer<UInt8>) -> Bool {
        guard let channels else { return true }
        return channels.contains { $0.matches(channel) }
    }

    func matches(_ event: StoredEvent) -> Bool {
        if let events, !events.contains(where: { Self.isNamed(event, $0) }) { return false }
        return matches(channel: event.channel)
    }

    /// An event that names no type is one of type message, as for EventSource.
    private static func isNamed(_ event: StoredEvent, _ name: [UInt8]) -> Bool {
        let text = event.event
        return text.isEmpty ? name.elementsEqual("message".utf8) : text.unescapes(to: name)
    }
}
