import StreamClient
import StreamCodec
import StreamTool

// When a stream is withheld, and where to poll then.
extension Source {
    /// The field of a stream's head by which a server, such as stream-serve, says where the same
    /// events can be polled for: a reference to a URL at the same server.
    private static let field = "Stream-Poll"

    func notePoll(_ head: HTTPHead) {
        guard settings.follow.poll == nil, !isPolling, let stream, settings.follow.isSafe,
            let reference = head.first(Self.field)
        else { return }
        do throws(URLError) {
            var url = try stream.resolving(reference)
            guard url.isSameOrigin(as: stream) else { return }
            // What the stream was asked for is what the poll is asked for.
            if !url.target.utf8.contains(UInt8(ascii: "?")),
                let query = stream.target.utf8.firstIndex(of: UInt8(ascii: "?"))
            {
                url.target += stream.target[query...]
            }
            pollURL = url
        } catch {
            // A reference that nobody can follow leads nowhere.
            pollURL = nil
        }
    }

    /// From now on the stream itself is asked for.
    func leavePoll(for stream: ClientURL) {
        isPolling = false
        isNextPoll = false
        withheld = 0
        asking = Asking(settings, stream, isPoll: false)
    }
}

/// How often a server gives a sign of life.
struct Rhythm {
    /// Nanoseconds: gaps that are shorter say nothing of how long one may be.
    private static let shortest: UInt64 = 5_000_000_000
    private static let leastLimit: UInt64 = 45_000_000_000
    private static let longestLimit: UInt64 = 1_800_000_000_000
    /// So many gaps are a rhythm.
    private static let enough = 2

    private var gaps = 0
    private var longest: UInt64 = 0

    init() {}

    /// Something came, so many nanoseconds behind the last.
    mutating func note(_ gap: UInt64) {
        guard gap >= Self.shortest else { return }
        gaps += 1
        longest = max(longest, gap)
    }

    /// How long nothing may come: three times the longest gap, once there is a rhythm.
    var idleLimit: UInt64 {
        if gaps < Self.enough { return FollowOptions.idle }
        return min(max(3 * longest, Self.leastLimit), Self.longestLimit)
    }
}
