import CLinux
import Glibc
import StreamCodec

extension Report {
    /// Nanoseconds that output may take after a second signal.
    private static let hurriedGrace: UInt64 = 1_000_000_000

    /// When standard output must have been written, once a signal asked to stop; nil when that may
    /// take as long as the process has.
    func outputLimit() -> UInt64? {
        guard isStopped() else { return nil }
        // Who says it twice does not wait for long: a reader that is only slow gets the rest.
        if clinux_is_hurried() != 0 {
            let limit = hurriedLimit ?? clinux_monotonic_nanoseconds() + Self.hurriedGrace
            hurriedLimit = limit
            return limit
        }
        guard let outputGrace else { return nil }
        let limit = stopLimit ?? clinux_monotonic_nanoseconds() + outputGrace
        stopLimit = limit
        return limit
    }

    /// Waits until one of the descriptors is ready, until a point in time (monotonic
    /// nanoseconds), or until a signal came. Serves requests for the counters, and what is due
    /// by the clock. Throws ReaderGone where the reader of standard output is watched and leaves.
    package func wait(
        for descriptors: inout [pollfd], until deadline: UInt64?, inputSize: Int? = nil
    ) throws {
        let signal = descriptors.count
        descriptors.append(
            pollfd(fd: clinux_signal_fd(), events: Int16(POLLIN), revents: 0))
        // Of a reader that left poll(2) tells unasked.
        if watchesReader { descriptors.append(pollfd(fd: 1, events: 0, revents: 0)) }
        defer { descriptors.removeLast(descriptors.count - signal) }
        while true {
            serveRequest()
            let interval = nextTick
            if interval != nil { tick(inputSize: inputSize) }
            let now = clinux_monotonic_nanoseconds()
            let left = deadline.map { $0 > now ? $0 - now : 0 }
            let timeout = min(left ?? .max, interval ?? .max)
            let count = clinux_poll(
                &descriptors, descriptors.count, timeout == .max ? -1 : Int64(clamping: timeout))
            if count < 0 && errno != EINTR { throw Failure(.systemError, errno: errno, "poll") }
            if count > 0 {
                if descriptors[signal].revents != 0 {
                    clinux_clear_signal_fd()
                    serveRequest()
                }
                if watchesReader && descriptors[signal + 1].revents != 0 { throw ReaderGone() }
                return
            }
            if timeout == left && count == 0 { return }
        }
    }

    /// Waits until a point in time (monotonic nanoseconds), or until a signal asks to stop.
    package func sleep(until deadline: UInt64) throws {
        var none: [pollfd] = []
        while !isStopped() && clinux_monotonic_nanoseconds() < deadline {
            try wait(for: &none, until: deadline)
        }
    }

    /// Passes on what a command wrote to its standard error: as it is, or in records.
    package func passOn(_ lines: UnsafeBufferPointer<UInt8>) {
        if options.logFormat == .json {
            for line in lines.split(separator: UInt8(ascii: "\n")) {
                say(.info, String(decoding: line, as: UTF8.self))
            }
            return
        }
        clearProgress()
        var queue = ByteQueue(capacity: lines.count)
        queue.append(lines)
        write(&queue, to: 2)
    }
}
