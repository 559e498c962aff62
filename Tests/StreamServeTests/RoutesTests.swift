import StreamCodec
import Testing

@testable import stream_serve

@Suite struct RoutesTests {
    private func filter(_ random: inout Random) throws -> Filter {
        var filter = Filter()
        if !random.oneIn(4) {
            let patterns = ["a", "a.*", "a.**", "**", "*", "*.b", "a.b.c", "x"]
            filter.channels = try (0..<random.below(3)).map { _ in
                try ChannelPattern(random.pick(patterns))
            }
        }
        if random.oneIn(4) { filter.events = [Array(random.pick(["tick", "message"]))] }
        return filter
    }

    private func event(_ random: inout Random, _ events: Events) throws -> StoredEvent {
        let channel = random.pick(["", "a", "a.b", "a.b.c", "b", "x.b", "none.\(random.below(50))"])
        let type = random.oneIn(2) ? "\"event\":\"tick\"," : ""
        try events.add(
            "{\(type)\(channel.isEmpty ? "" : "\"channel\":\"\(channel)\",")\"data\":1}")
        return events.last
    }

    /// Feeds come and go and places are used again: the events go where their filters say.
    @Test(arguments: 0..<8) func againstMatching(_ round: Int) throws {
        var random = Random("routes", round)
        var routes = Routes()
        var feeds: ContiguousArray<Feed?> = []
        let events = Events { $0.form = .records }
        for _ in 0..<1500 {
            if random.oneIn(12) {
                let key = Feed.Key(
                    form: Form(wire: .sse, isRecord: false), filter: try filter(&random))
                let feed = try Feed(key, next: 1, level: 1)
                let index = feeds.firstIndex { $0 == nil } ?? feeds.count
                if index == feeds.count { feeds.append(feed) } else { feeds[index] = feed }
                routes.add(index, key.filter)
            } else if random.oneIn(15), !feeds.isEmpty {
                let index = random.below(feeds.count)
                if feeds[index] != nil { routes.remove(index) }
                feeds[index] = nil
            }
            let event = try event(&random, events)
            let wanted = feeds.indices.filter { feeds[$0]?.filter.matches(event) ?? false }
            let chosen = routes.choices(of: event, in: feeds)
            #expect((routes.all + chosen).sorted() == wanted, "round \(round), seed \(Seed.value)")
            let others = feeds.contains { $0.map { !$0.filter.isAll } ?? false }
            #expect(routes.hasChoices == others)
        }
    }

    /// Channels are named from outside: many of them are not remembered for ever, and no channel
    /// loses its feeds by that.
    @Test func manyChannels() throws {
        var routes = Routes()
        let filter = Filter(channels: [try ChannelPattern("a.*")], events: nil)
        let key = Feed.Key(form: Form(wire: .sse, isRecord: false), filter: filter)
        let feeds: ContiguousArray<Feed?> = [try Feed(key, next: 1, level: 1)]
        routes.add(0, filter)
        let events = Events { $0.form = .records }
        for number in 0..<9000 {
            let prefix = number % 2 == 0 ? "a" : "b"
            try events.add("{\"channel\":\"\(prefix).\(number)\"}")
            #expect(routes.choices(of: events.last, in: feeds) == (number % 2 == 0 ? [0] : []))
        }
    }
}
