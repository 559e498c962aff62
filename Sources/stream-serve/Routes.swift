import StreamCodec

/// Which feeds an event goes to: looked up by its channel, and remembered.
struct Routes {
    /// Channels whose feeds are remembered: names come from outside.
    private static let limit = 4096

    /// Feeds that take every event.
    private(set) var all: [Int] = []
    /// Feeds that choose.
    private var others: [Int] = []
    /// Those of `others` whose channels match, by channel.
    private var known: [[UInt8]: [Int]] = [:]

    mutating func add(_ index: Int, _ filter: Filter) {
        known.removeAll()
        if filter.isAll { all.append(index) } else { others.append(index) }
    }

    mutating func remove(_ index: Int) {
        known.removeAll()
        all.removeAll { $0 == index }
        others.removeAll { $0 == index }
    }

    var hasChoices: Bool { !others.isEmpty }

    /// Those of the feeds that choose which take this event.
    mutating func choices(of event: StoredEvent, in feeds: ContiguousArray<Feed?>) -> [Int] {
        let channel = Array(event.channel)
        let candidates: [Int]
        if let remembered = known[channel] {
            candidates = remembered
        } else {
            candidates = others.filter {
                feeds[$0]?.filter.matches(channel: event.channel) ?? false
            }
            if known.count >= Self.limit { known.removeAll() }
            known[channel] = candidates
        }
        return candidates.filter { feeds[$0]?.filter.matches(event) ?? false }
    }
}
