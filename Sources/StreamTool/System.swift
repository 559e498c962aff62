import CLinux
import Glibc

/// Nanoseconds on a clock that is never set.
package func monotonicNanoseconds() -> UInt64 { clinux_monotonic_nanoseconds() }

/// Nanoseconds since 1970-01-01T00:00:00Z.
package func realtimeNanoseconds() -> UInt64 {
    var now = timespec()
    clock_gettime(CLOCK_REALTIME, &now)
    return UInt64(now.tv_sec) * 1_000_000_000 + UInt64(now.tv_nsec)
}

/// True once SIGTERM, SIGINT or SIGHUP came.
package func isStopped() -> Bool { clinux_stop_signal() != 0 }

/// Ends what is sent on a socket and reads what its peer still sends until it closes, 2 seconds
/// at the most. Closing with bytes unread would reset the connection, and a reset can take
/// the last of what was sent away from the peer. Does nothing when it is no socket.
package func closeSocket(_ descriptor: Int32) {
    guard shutdown(descriptor, Int32(SHUT_WR)) == 0 else { return }
    let deadline = monotonicNanoseconds() + 2_000_000_000
    var scratch = [UInt8](repeating: 0, count: 4096)
    while true {
        let now = monotonicNanoseconds()
        if now >= deadline || isStopped() { return }
        var ready = pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0)
        _ = poll(&ready, 1, Int32((deadline - now + 999_999) / 1_000_000))
        let size = recv(descriptor, &scratch, scratch.count, Int32(MSG_DONTWAIT))
        if size == 0 || (size < 0 && errno != EAGAIN && errno != EINTR) { return }
    }
}

/// Now, as RFC 3339 with milliseconds, UTC.
package func timestamp() -> String {
    var now = timespec()
    clock_gettime(CLOCK_REALTIME, &now)
    var parts = tm()
    gmtime_r(&now.tv_sec, &parts)
    var text = [CChar](repeating: 0, count: 24)
    let size = strftime(&text, text.count, "%Y-%m-%dT%H:%M:%S", &parts)
    let milliseconds = String(1000 + now.tv_nsec / 1_000_000).dropFirst()
    return String(decoding: text.prefix(size).map(UInt8.init), as: UTF8.self)
        + ".\(milliseconds)Z"
}
