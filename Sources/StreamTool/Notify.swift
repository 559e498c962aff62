import Glibc

/// Words to the service manager, one datagram each: sd_notify(3), "Well-known assignments".
/// Nothing waits for it, and it is no reason to end when it does not listen.
package struct Notify {
    private let path: [UInt8]
    /// Nanoseconds between two signs of life: half of what the watchdog allows, as
    /// sd_watchdog_enabled(3), "Description", advises.
    private let interval: UInt64?
    private var last: UInt64 = 0
    private var isReady = false
    private var isStopping = false

    /// Nil without NOTIFY_SOCKET: nobody wants to know. Also when it is neither a path nor an
    /// abstract name, as `vsock:` of virtual machines (sd_notify(3), "Environment").
    package init?() {
        guard let value = getenv("NOTIFY_SOCKET") else { return nil }
        // Bytes, for a path need not be UTF-8.
        let name = UnsafeBufferPointer(start: value, count: strlen(value)).map {
            UInt8(bitPattern: $0)
        }
        guard let first = name.first, first == UInt8(ascii: "/") || first == UInt8(ascii: "@"),
            2..<MemoryLayout.size(ofValue: sockaddr_un().sun_path) ~= name.count
        else { return nil }
        path = name
        interval = Self.watchdogInterval()
        last = monotonicNanoseconds()
    }

    /// Nil when nobody watches, or another process is watched: sd_watchdog_enabled(3),
    /// "Environment".
    private static func watchdogInterval() -> UInt64? {
        let text = { (name: String) in getenv(name).map { String(cString: $0) } }
        guard let microseconds = text("WATCHDOG_USEC").flatMap({ UInt64($0) }),
            1...(1 << 50) ~= microseconds
        else { return nil }
        if let pid = text("WATCHDOG_PID"), Int32(pid) != getpid() { return nil }
        return microseconds * 500
    }

    /// READY=1: the service is up. Once is enough.
    package mutating func ready() {
        if isReady { return }
        isReady = true
        send("READY=1")
    }

    /// STATUS=: what the service does, for people, in one line.
    package func status(_ text: String) {
        var line = "STATUS="
        for scalar in text.unicodeScalars {
            // The manager takes no datagram of more than 4096 bytes; a scalar has up to four.
            if line.utf8.count > 4092 { break }
            // A line feed would begin another assignment, and NUL spoils all of them.
            let isControl = scalar.value < 0x20 || scalar.value == 0x7F
            line.unicodeScalars.append(isControl ? " " : scalar)
        }
        send(line)
    }

    /// STOPPING=1: the service is about to end. Once is enough.
    package mutating func stopping() {
        if isStopping { return }
        isStopping = true
        send("STOPPING=1")
    }

    /// When `keepWatchdog` is due, monotonic nanoseconds; nil without a watchdog.
    package var watchdogDeadline: UInt64? { interval.map { last + $0 } }

    /// WATCHDOG=1: a sign of life, when it is time for one.
    package mutating func keepWatchdog(_ now: UInt64) {
        guard let due = watchdogDeadline, now >= due else { return }
        last = now
        send("WATCHDOG=1")
    }

    /// What fails here is let go, as sd_notify(3), "Return value", advises: a manager that is
    /// away, or whose queue is full, has ways of its own to learn how the service is.
    private func send(_ text: String) {
        let type = Int32(SOCK_DGRAM.rawValue | SOCK_CLOEXEC.rawValue)
        let descriptor = socket(AF_UNIX, type, 0)
        guard descriptor >= 0 else { return }
        defer { close(descriptor) }
        var address = sockaddr_un()
        address.sun_family = sa_family_t(AF_UNIX)
        withUnsafeMutableBytes(of: &address.sun_path) { place in
            place.copyBytes(from: path)
            // An abstract name begins with NUL and ends where its size says: unix(7).
            if path[0] == UInt8(ascii: "@") { place[0] = 0 }
        }
        let size = socklen_t(MemoryLayout<sa_family_t>.size + path.count)
        let bytes = Array(text.utf8)
        withUnsafePointer(to: address) { address in
            address.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                _ = sendto(
                    descriptor, bytes, bytes.count, Int32(MSG_DONTWAIT | MSG_NOSIGNAL), $0, size)
            }
        }
    }
}
