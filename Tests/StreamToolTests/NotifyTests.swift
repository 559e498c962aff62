import Glibc
import Testing

@testable import StreamTool

/// Where tests may make files: $TMPDIR, or /tmp.
let temporaryFolder = getenv("TMPDIR").map { String(cString: $0) } ?? "/tmp"

/// What a service manager binds: a path, or `@` and an abstract name.
private struct Manager: ~Copyable {
    let name: String
    private let descriptor: Int32

    init(_ name: String) {
        self.name = name
        let type = Int32(SOCK_DGRAM.rawValue | SOCK_CLOEXEC.rawValue)
        let descriptor = socket(AF_UNIX, type, 0)
        var address = sockaddr_un()
        address.sun_family = sa_family_t(AF_UNIX)
        withUnsafeMutableBytes(of: &address.sun_path) {
            $0.copyBytes(from: name.utf8)
            if name.utf8.first == UInt8(ascii: "@") { $0[0] = 0 }
        }
        withUnsafePointer(to: address) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                let size = socklen_t(MemoryLayout<sa_family_t>.size + name.utf8.count)
                precondition(bind(descriptor, $0, size) == 0)
            }
        }
        self.descriptor = descriptor
    }

    deinit {
        close(descriptor)
        unlink(name)
    }

    /// The datagrams that came. One that is sent has arrived: Unix sockets have no way between.
    func received() -> [String] {
        var datagrams: [String] = []
        var buffer = [UInt8](repeating: 0, count: 1 << 16)
        while true {
            let size = recv(descriptor, &buffer, buffer.count, Int32(MSG_DONTWAIT))
            if size < 0 { return datagrams }
            datagrams.append(String(decoding: buffer[..<size], as: UTF8.self))
        }
    }
}

/// Serialized, for the environment is one.
@Suite(.serialized) struct NotifyTests {
    private static let names = [
        "\(temporaryFolder)/streamutils-notify.\(getpid())", "@streamutils.\(getpid())",
    ]

    private func start(
        _ socket: String?, microseconds: String? = nil, pid: String? = nil
    ) -> Notify? {
        let variables = [
            ("NOTIFY_SOCKET", socket), ("WATCHDOG_USEC", microseconds), ("WATCHDOG_PID", pid),
        ]
        for (name, value) in variables {
            if let value { setenv(name, value, 1) } else { unsetenv(name) }
        }
        defer { for (name, _) in variables { unsetenv(name) } }
        return Notify()
    }

    @Test(arguments: names) func saysEachWordOnce(name: String) throws {
        let manager = Manager(name)
        var notify = try #require(start(name))
        #expect(manager.received() == [])
        notify.ready()
        notify.ready()
        #expect(manager.received() == ["READY=1"])
        notify.stopping()
        notify.stopping()
        #expect(manager.received() == ["STOPPING=1"])
    }

    @Test(arguments: names) func statusIsOneLine(name: String) throws {
        let manager = Manager(name)
        let notify = try #require(start(name))
        notify.status("2 streams, größer")
        notify.status("a\nREADY=1\r\u{0}b")
        notify.status("")
        #expect(
            manager.received() == ["STATUS=2 streams, größer", "STATUS=a READY=1  b", "STATUS="])
    }

    @Test func aLongStatusIsCutBetweenScalars() throws {
        let manager = Manager(Self.names[0])
        let notify = try #require(start(manager.name))
        for text in ["a", "ü", "€", "𝄞"] {
            notify.status(String(repeating: text, count: 100_000))
            let status = try #require(manager.received().first)
            #expect((4090...4096).contains(status.utf8.count))
            #expect(status.dropFirst(7).allSatisfy { String($0) == text })
        }
    }

    @Test(arguments: names) func keepsTheWatchdog(name: String) throws {
        let manager = Manager(name)
        let before = monotonicNanoseconds()
        var notify = try #require(
            start(name, microseconds: "3000000", pid: "\(getpid())"))
        let due = try #require(notify.watchdogDeadline)
        #expect((before + 1_500_000_000...monotonicNanoseconds() + 1_500_000_000).contains(due))
        notify.keepWatchdog(due - 1)
        #expect(manager.received() == [])
        notify.keepWatchdog(due)
        notify.keepWatchdog(due)
        #expect(manager.received() == ["WATCHDOG=1"])
        // Behind the last one, not behind when it was due: one that is late makes no burst.
        notify.keepWatchdog(due + 7_000_000_000)
        #expect(notify.watchdogDeadline == due + 8_500_000_000)
        #expect(manager.received() == ["WATCHDOG=1"])
    }

    @Test(arguments: [nil, "", "0", "-1", "x", "1.5", "99999999999999999999999"])
    func noWatchdog(microseconds: String?) throws {
        let manager = Manager(Self.names[0])
        var notify = try #require(start(manager.name, microseconds: microseconds))
        #expect(notify.watchdogDeadline == nil)
        notify.keepWatchdog(.max)
        #expect(manager.received() == [])
    }

    @Test(arguments: ["1", "x", ""]) func theWatchdogOfAnother(pid: String) throws {
        let notify = try #require(start("@nobody", microseconds: "1000000", pid: pid))
        #expect(notify.watchdogDeadline == nil)
    }

    @Test func aWatchdogForWhoeverRuns() throws {
        let notify = try #require(start("@nobody", microseconds: "1000000"))
        #expect(notify.watchdogDeadline != nil)
    }

    @Test(arguments: [
        nil, "", "/", "@", "name", "vsock:2:1234", "vsock-stream:2:1234",
        "/" + String(repeating: "a", count: 107), "@" + String(repeating: "a", count: 107),
    ])
    func noSocket(name: String?) {
        #expect(start(name) == nil)
    }

    @Test func theLongestNames() throws {
        let pid = "\(getpid())"
        for prefix in [temporaryFolder + "/", "@"] {
            let rest = String(repeating: "a", count: 107 - prefix.utf8.count - pid.utf8.count)
            let manager = Manager(prefix + rest + pid)
            var notify = try #require(start(manager.name))
            notify.ready()
            #expect(manager.received() == ["READY=1"])
        }
    }

    @Test func nobodyListens() throws {
        for name in ["\(temporaryFolder)/none.\(getpid())", "@streamutils-none.\(getpid())"] {
            var notify = try #require(start(name, microseconds: "1000000"))
            notify.ready()
            notify.status("alone")
            notify.keepWatchdog(.max)
            notify.stopping()
        }
    }

    /// A manager that does not read must not stop the service.
    @Test func aFullQueueIsNoReasonToWait() throws {
        let manager = Manager(Self.names[1])
        let notify = try #require(start(manager.name))
        for number in 0..<5000 { notify.status("\(number)") }
        let received = manager.received()
        #expect((1..<5000).contains(received.count))
        #expect(received.first == "STATUS=0")
    }
}
