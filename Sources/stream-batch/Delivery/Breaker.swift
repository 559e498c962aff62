/// Keeps a service that is down from being tried again and again: after some failures in a row
/// no attempt starts for a while; then one does, a probe, and its end decides.
struct Breaker {
    private enum State: Equatable {
        case closed
        case open(until: UInt64)
        /// The probe is under way.
        case probing
    }

    private let failures: Int
    /// Nanoseconds.
    private let duration: UInt64
    private var state = State.closed
    private var failuresInRow = 0

    init(failures: Int, duration: UInt64) {
        self.failures = failures
        self.duration = duration
    }

    var isOpen: Bool { state != .closed }

    /// When the next attempt may start; nil while that depends on the probe.
    var nextStart: UInt64? {
        switch state {
        case .closed: 0
        case .open(let until): until
        case .probing: nil
        }
    }

    /// An attempt starts. True when it is a probe.
    mutating func start() -> Bool {
        guard case .open = state else { return false }
        state = .probing
        return true
    }

    /// An attempt was answered, whichever it was: the service works. True when that closes the
    /// breaker.
    mutating func succeed() -> Bool {
        failuresInRow = 0
        defer { state = .closed }
        return isOpen
    }

    /// An attempt failed. True when that opens the breaker, which a probe does again.
    mutating func fail(at now: UInt64, wasProbe: Bool) -> Bool {
        failuresInRow += 1
        switch state {
        case .closed where failuresInRow >= failures: break
        case .probing where wasProbe: break
        // What started before the breaker opened says nothing new.
        default: return false
        }
        state = .open(until: now + duration)
        return true
    }
}
