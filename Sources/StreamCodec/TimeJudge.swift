/// Which of the times that lines say can be believed. A time too far from those before it waits:
/// the lines after it tell which of the two is wrong.
package struct TimeJudge {
    package enum Verdict: Equatable {
        /// It is like those before it. What waits is wrong.
        case likely
        /// It is not, and the line has to wait. Unless it agrees with what waits, that is wrong.
        case unlikely(agrees: Bool)
        /// It agrees with what waits, and they are enough: the times before them were wrong.
        case overruling
    }

    /// So many lines in a row that agree overrule any number before them; fewer do where there
    /// were fewer before them.
    package static var enough: Int { 3 }

    /// The latest time that is believed; 0 before the first.
    package private(set) var latest: UInt64 = 0
    /// Lines that agreed with it, as far as they count.
    private var believed = 0
    /// The latest time of those that wait.
    private var doubtful: UInt64 = 0
    private var waiting = 0
    private let ahead: UInt64
    private let behind: UInt64

    /// A time is unlikely when it is more than `ahead` later than the latest one, or more than
    /// `behind` earlier, which is no less.
    package init(ahead: UInt64, behind: UInt64) {
        self.ahead = ahead
        self.behind = max(ahead, behind)
    }

    package mutating func judge(_ time: UInt64) -> Verdict {
        if isLikely(time) {
            latest = max(latest, time)
            believed = min(believed + 1, Self.enough)
            waiting = 0
            return .likely
        }
        let agrees = waiting > 0 && max(time, doubtful) - min(time, doubtful) <= ahead
        doubtful = agrees ? max(time, doubtful) : time
        waiting = agrees ? waiting + 1 : 1
        if waiting < min(Self.enough, believed + 1) { return .unlikely(agrees: agrees) }
        latest = doubtful
        believed = waiting
        waiting = 0
        return .overruling
    }

    package func isLikely(_ time: UInt64) -> Bool {
        believed == 0 || (isAhead(time) ? time - latest <= ahead : latest - time <= behind)
    }

    /// True when the time is later than any that is believed.
    package func isAhead(_ time: UInt64) -> Bool { time > latest }

    /// Nothing more comes, or not soon: what waits is wrong.
    package mutating func dismiss() { waiting = 0 }
}
