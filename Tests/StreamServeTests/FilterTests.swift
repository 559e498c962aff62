import StreamCodec
import Testing

@testable import stream_serve

@Suite struct FilterTests {
    private func matches(
        _ record: String, channels: [String]? = nil, events: [String]? = nil
    ) throws -> Bool {
        var filter = Filter()
        filter.channels = try channels.map { try $0.map { try ChannelPattern($0) } }
        filter.events = events.map { $0.map { Array($0) } }
        return filter.matches(try pack(record) { $0.form = .records }[0])
    }

    @Test func channels() throws {
        let without = #"{"data":1}"#
        let deep = #"{"data":1,"channel":"a.b.c"}"#
        #expect(try matches(without))
        #expect(try matches(deep))
        #expect(try !matches(without, channels: []))
        #expect(try !matches(deep, channels: []))
        #expect(try !matches(without, channels: ["*"]))
        #expect(try matches(without, channels: ["**"]))
        #expect(try matches(deep, channels: ["**"]))
        #expect(try matches(deep, channels: ["a.*.c"]))
        #expect(try !matches(deep, channels: ["a.*"]))
        #expect(try matches(deep, channels: ["x", "a.**"]))
        #expect(try !matches(deep, channels: ["x", "A.b.c"]))
        #expect(try matches(#"{"channel":"\u0061"}"#, channels: ["a"]))
    }

    /// An event without a type is one of type message.
    @Test func events() throws {
        let tick = #"{"event":"tick","data":1}"#
        #expect(try matches(tick, events: ["a", "tick"]))
        #expect(try !matches(tick, events: ["message"]))
        #expect(try !matches(tick, events: []))
        #expect(try matches(#"{"data":1}"#, events: ["message"]))
        #expect(try matches(#"{"event":"","data":1}"#, events: ["message"]))
        #expect(try matches(#"{"event":"message","data":1}"#, events: ["message"]))
        #expect(try !matches(#"{"data":1}"#, events: [""]))
    }

    @Test func eventsWithEscapes() throws {
        #expect(try matches(#"{"event":"a\"b"}"#, events: ["a\"b"]))
        #expect(try matches(#"{"event":"\u00e9"}"#, events: ["é"]))
        #expect(try matches(#"{"event":"a\\u0062"}"#, events: [#"a\u0062"#]))
        #expect(try !matches(#"{"event":"a\u0062"}"#, events: [#"a\u0062"#]))
        #expect(try matches(#"{"event":"m\u0065ssage"}"#, events: ["message"]))
    }

    @Test func both() throws {
        let record = #"{"event":"tick","channel":"a","data":1}"#
        #expect(try matches(record, channels: ["a"], events: ["tick"]))
        #expect(try !matches(record, channels: ["b"], events: ["tick"]))
        #expect(try !matches(record, channels: ["a"], events: ["tock"]))
    }

    @Test func kinds() throws {
        var filter = Filter()
        #expect(filter.isAll && !filter.isNothing)
        filter.events = [Array("x")]
        #expect(!filter.isAll && !filter.isNothing)
        filter.channels = []
        #expect(!filter.isAll && filter.isNothing)
        filter = Filter(channels: [try ChannelPattern("a")], events: nil)
        #expect(!filter.isAll && !filter.isNothing)
        // Clients that ask for the same share a feed.
        #expect(filter == Filter(channels: [try ChannelPattern("a")], events: nil))
        #expect(filter != Filter())
    }
}
