import StreamCodec
import Testing

@testable import stream_serve

@Suite struct FeedTests {
    static let forms = [
        Form(wire: .sse, isRecord: false), Form(wire: .sse, isRecord: true),
        Form(wire: .sse, isRecord: false, isCompressed: true),
        Form(wire: .sse, isRecord: true, isCompressed: true),
        Form(wire: .webSocket, isRecord: false), Form(wire: .webSocket, isRecord: true),
        Form(wire: .webSocket, isRecord: false, isCompressed: true),
        Form(wire: .webSocket, isRecord: true, isCompressed: true),
        Form(wire: .chunks, isRecord: false), Form(wire: .chunks, isRecord: true),
        Form(wire: .lines, isRecord: false), Form(wire: .lines, isRecord: true),
    ]

    private func run(_ form: Form, _ round: Int) throws {
        var random = Random("feed \(form)", round)
        var filter = Filter()
        if random.oneIn(3) { filter.channels = [try ChannelPattern("a.*")] }
        if random.oneIn(4) { filter.events = [Array("tick"), Array("message")] }
        let joins = random.pick([3, 20, 100])
        let flushes = random.pick([1, 3, 10])
        let model = try FeedModel(form, filter, random)
        for _ in 0..<400 {
            model.now += UInt64(model.random.below(80_000_000))
            try model.publish()
            if model.random.oneIn(joins) {
                let last = Int(model.next)
                let back = model.random.pick([0, 0, 3, 400])
                try model.join(at: UInt64(max(1, last - model.random.below(back + 1))))
            }
            if model.random.oneIn(25) { model.heartbeat() }
            if model.random.oneIn(flushes) { model.flush() }
            guard let client = model.clients.randomElement(using: &model.random) else { continue }
            switch model.random.below(60) {
            case 0: client.skip(1 + model.random.below(20))
            case 1: client.detach()
            case 2: try model.leave(client)
            default: break
            }
        }
        model.flush()
        for client in model.clients { try model.leave(client) }
    }

    /// Clients that come, fall behind, skip and go, at random: each receives exactly its events.
    @Test(arguments: forms) func programs(_ form: Form) throws {
        for round in 0..<6 { try run(form, round) }
    }

    private func fill(_ feed: Feed, _ events: Events, _ count: Int, now: UInt64) throws {
        for _ in 0..<count {
            try events.add("{\"n\":\(events.next)}")
            feed.append(events.last, now: now)
        }
    }

    /// Seconds as the feed has them.
    private func at(_ seconds: Double) -> UInt64 { UInt64(seconds * 1e9) }

    private func end(_ feed: Feed) -> Int { feed.log.end }

    private func expectEmpty(_ feed: Feed, _ isEmpty: Bool = true) {
        let isSame = feed.log.isEmpty == isEmpty
        #expect(isSame)
    }

    private func makeFeed(_ form: Form) throws -> Feed {
        try Feed(Feed.Key(form: form, filter: Filter()), next: 1, level: 3)
    }

    /// A client that has some of the events of one compressed piece must not be let in behind it:
    /// it would never get the others.
    @Test func noPlaceInsidePiece() throws {
        let feed = try makeFeed(Form(wire: .sse, isRecord: false, isCompressed: true))
        let events = Events()
        try fill(feed, events, 1, now: at(10))
        // It has the first event from the history, and now it waits.
        #expect(feed.place(of: 2) == nil)
        try fill(feed, events, 2, now: at(10))
        feed.seal(now: at(10))
        #expect(feed.place(of: 2) == nil)
        #expect(feed.place(of: 3) == nil)
        #expect(feed.place(of: 4) == end(feed))
    }

    /// The same once the pieces behind it are there.
    @Test func noPlaceInsideOldPiece() throws {
        let feed = try makeFeed(Form(wire: .sse, isRecord: false, isCompressed: true))
        let events = Events()
        _ = feed.place(of: 1)
        try fill(feed, events, 1, now: at(10))
        #expect(feed.place(of: 2) == nil)
        try fill(feed, events, 1, now: at(10))
        feed.seal(now: at(10))
        let boundary = feed.log.end
        try fill(feed, events, 1, now: at(10))
        feed.seal(now: at(10))
        #expect(feed.place(of: 2) == nil)
        #expect(feed.place(of: 3) == boundary)
        #expect(feed.place(of: 4) == nil)
    }

    /// A heartbeat that goes with events that wait begins no piece: a client that has these events
    /// must not get them again.
    @Test func heartbeatBehindEvents() throws {
        let feed = try makeFeed(Form(wire: .sse, isRecord: false, isCompressed: true))
        let events = Events()
        // The place at which the log begins is a boundary.
        try fill(feed, events, 1, now: at(0.1))
        feed.appendHeartbeat(next: 2, now: at(0.1))
        #expect(feed.place(of: 1) == 0)
        #expect(feed.place(of: 2) == nil)
        #expect(feed.frame(from: 0, next: 2).sequence == 1)
        let counts = (feed.log.count(from: 0), feed.log.count(from: 1))
        #expect(counts == (1, 0))
    }

    /// A boundary is made for who asks, and not more often than four times a second.
    @Test(arguments: [Form.Wire.sse, .webSocket]) func boundaries(_ wire: Form.Wire) throws {
        let feed = try makeFeed(Form(wire: wire, isRecord: true, isCompressed: true))
        let events = Events()
        #expect(feed.place(of: 1) == 0)
        try fill(feed, events, 1, now: at(1))
        feed.seal(now: at(1))
        #expect(feed.place(of: 2) == nil)
        try fill(feed, events, 1, now: at(1.1))
        feed.seal(now: at(1.1))
        let first = feed.log.end
        #expect(feed.place(of: 3) == first)
        try fill(feed, events, 1, now: at(1.2))
        feed.seal(now: at(1.2))
        #expect(feed.place(of: 3) == first)
        #expect(feed.place(of: 4) == nil)
        try fill(feed, events, 1, now: at(1.3))
        feed.seal(now: at(1.3))
        #expect(feed.place(of: 5) == nil)
        try fill(feed, events, 1, now: at(1.36))
        feed.seal(now: at(1.36))
        #expect(feed.place(of: 6) == end(feed))
        feed.clear(next: 6)
        expectEmpty(feed)
        #expect(feed.place(of: 5) == nil)
        #expect(feed.place(of: 6) == end(feed))
    }

    /// What is not yet compressed is not cleared away.
    @Test func clearKeepsFresh() throws {
        let feed = try makeFeed(Form(wire: .sse, isRecord: false, isCompressed: true))
        let events = Events()
        try fill(feed, events, 2, now: at(1))
        feed.clear(next: 3)
        #expect(feed.start == 1)
        feed.seal(now: at(1))
        expectEmpty(feed, false)
        feed.clear(next: 3)
        expectEmpty(feed)
        #expect(feed.start == 3)
    }

    /// Events of one compressed piece are events: the metrics and --buffer count them.
    @Test func countsEvents() throws {
        let plain = try makeFeed(Form(wire: .sse, isRecord: false))
        let feed = try makeFeed(Form(wire: .sse, isRecord: false, isCompressed: true))
        let events = Events()
        for target in [plain, feed] {
            for _ in 0..<3 {
                try events.add("1")
                target.append(events.last, now: at(1))
            }
            target.seal(now: at(1))
        }
        let counts = (plain.log.count(from: 0), feed.log.count(from: 0))
        #expect(counts == (3, 3))
    }

    /// A piece has a bound, also when nobody flushes.
    @Test func piecesAreBounded() throws {
        let feed = try makeFeed(Form(wire: .sse, isRecord: false, isCompressed: true))
        let events = Events()
        var random = Random("pieces")
        for _ in 0..<3000 {
            try events.add("\"\(random.next()) \(random.next()) \(random.next())\"")
            feed.append(events.last, now: at(1))
        }
        let count = feed.log.bytes.count
        #expect(count > 40_000)
    }
}
