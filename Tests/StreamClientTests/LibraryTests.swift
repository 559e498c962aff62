import Foundation
import Glibc
import StreamCodec
import Testing

@testable import StreamClient

/// Options that trust our authority.
func trusting(_ change: (inout ConnectOptions) -> Void = { _ in }) -> ConnectOptions {
    var options = ConnectOptions()
    options.cacert = Certificates.path("ca.pem")
    options.timeout = 60_000_000_000
    change(&options)
    return options
}

@Suite
struct TLSTests {
    let directory = Certificates.directory

    @Test func echo() throws {
        let peer = try Peer(["tls", directory, "server"])
        var transport = Transport(trusting())
        for host in ["localhost", "127.0.0.1"] {
            try establish(&transport, "wss://\(host):\(peer.port)/")
            #expect(transport.isTLS == true)
            #expect(transport.peerAddress == "127.0.0.1:\(peer.port)")
            #expect(fcntl(transport.descriptor, F_GETFD) & FD_CLOEXEC != 0)
            let large = (0..<3_000_000).map { UInt8(truncatingIfNeeded: $0 &* 31 >> 3) }
            #expect(try exchange(&transport, large) == large)
        }
    }

    @Test func endAndReset() throws {
        let peer = try Peer(["tls", directory, "server"])
        var transport = Transport(trusting())
        try establish(&transport, "wss://localhost:\(peer.port)/")
        #expect(try exchange(&transport, text("end")) == [])
        try establish(&transport, "wss://localhost:\(peer.port)/")
        do {
            // An end of TCP without one of TLS is an end here: the protocol above knows better.
            #expect(try exchange(&transport, text("reset")) == [])
        } catch let error as TransportError {
            #expect(error.kind == .lost)
        }
    }

    @Test func strangers() throws {
        let peer = try Peer(["tls", directory, "server"])
        let url = "wss://localhost:\(peer.port)/"
        let unknown = try failure(ConnectOptions(), url)
        #expect(unknown.kind == .verification)
        #expect(unknown.message.hasPrefix("cannot connect to localhost:\(peer.port): SSL cert"))
        let other = trusting { $0.cacert = Certificates.path("other.pem") }
        #expect(try failure(other, url).kind == .verification)
        let named = trusting { $0.resolve = ["wrong.test:\(peer.port):127.0.0.1"] }
        let wrong = try failure(named, "wss://wrong.test:\(peer.port)/")
        #expect(wrong.kind == .verification)
        #expect(wrong.message.contains("wrong.test"))
        let expired = try Peer(["tls", directory, "expired"])
        let late = try failure(trusting(), "wss://localhost:\(expired.port)/")
        #expect(late.kind == .verification)
        #expect(late.message.contains("expired"))
        var transport = Transport(
            trusting {
                $0.isInsecure = true; $0.cacert = nil
            })
        try establish(&transport, "wss://localhost:\(expired.port)/")
        #expect(try exchange(&transport, text("hi")) == text("hi"))
    }

    @Test func names() throws {
        let peer = try Peer(["tls", directory, "server"])
        var resolved = Transport(
            trusting { $0.resolve = ["example.test:\(peer.port):127.0.0.1"] })
        try establish(&resolved, "wss://example.test:\(peer.port)/")
        #expect(try exchange(&resolved, text("hi")) == text("hi"))
        var named = Transport(trusting { $0.serverName = "example.test" })
        try establish(&named, "wss://127.0.0.1:\(peer.port)/")
        #expect(try exchange(&named, text("hi")) == text("hi"))
        let wrong = trusting { $0.serverName = "wrong.test" }
        #expect(try failure(wrong, "wss://127.0.0.1:\(peer.port)/").kind == .verification)
        let bad = trusting { $0.serverName = "a/b@c" }
        #expect(try failure(bad, "wss://127.0.0.1:\(peer.port)/").kind == .configuration)
    }

    @Test func pins() throws {
        let peer = try Peer(["tls", directory, "server"])
        let url = "wss://localhost:\(peer.port)/"
        let pin = try String(contentsOfFile: Certificates.path("pin"), encoding: .utf8)
        var transport = Transport(trusting { $0.pinnedKey = "sha256//" + pin })
        try establish(&transport, url)
        #expect(try exchange(&transport, text("hi")) == text("hi"))
        let zeros = Data(count: 32).base64EncodedString()
        let wrong = trusting { $0.pinnedKey = "sha256//" + zeros }
        #expect(try failure(wrong, url).kind == .verification)
        // A pin holds without verification, too.
        let insecure = trusting {
            $0.pinnedKey = "sha256//" + zeros; $0.isInsecure = true
        }
        #expect(try failure(insecure, url).kind == .verification)
    }

    @Test func clientCertificate() throws {
        let peer = try Peer(["tls", directory, "server", "ca"])
        let url = "wss://localhost:\(peer.port)/"
        var transport = Transport(
            trusting {
                $0.cert = Certificates.path("client.pem")
                $0.key = Certificates.path("key.pem")
            })
        try establish(&transport, url)
        #expect(try exchange(&transport, text("hi")) == text("hi"))
        // With TLS 1.3 the refusal comes behind the handshake.
        do {
            var without = Transport(trusting())
            try establish(&without, url)
            #expect(try exchange(&without, text("hi")) == [])
        } catch let error as TransportError {
            #expect(error.kind == .lost)
            // A reset that follows the alert may take it away.
            #expect(!error.message.contains("getpeername"))
        }
    }

    @Test func badFiles() throws {
        let url = "wss://localhost:1/"
        let absent = try failure(trusting { $0.cacert = "/absent.pem" }, url)
        #expect(absent.kind == .certificateFile)
        #expect(absent.mayBeReplaced && !absent.isPassing)
        #expect(absent.status == .badConfiguration)
        #expect(absent.message == "/absent.pem: No such file or directory")
        let peer = try Peer(["tls", directory, "server"])
        let here = "wss://localhost:\(peer.port)/"
        let empty = try file("nothing")
        #expect(try failure(trusting { $0.cacert = empty }, here).kind == .certificateFile)
        #expect(try failure(trusting { $0.cert = empty }, here).kind == .certificateFile)
        // Nobody is asked for the passphrase.
        let locked = trusting {
            $0.cert = Certificates.path("client.pem")
            $0.key = Certificates.path("locked.pem")
        }
        #expect(try failure(locked, here).kind == .certificateFile)
    }

    @Test func refusedAndSilent() throws {
        let port = freePort()
        let error = try failure(trusting(), "wss://127.0.0.1:\(port)/")
        #expect(error.kind == .cannotConnect)
        #expect(error.message == "cannot connect to 127.0.0.1:\(port): Connection refused")
        let listener = Listener()
        let start = monotonic()
        var due: UInt64?
        let late = try failure(
            trusting { $0.timeout = 300_000_000 }, "wss://127.0.0.1:\(listener.port)/"
        ) { due = $0 }
        #expect(late.kind == .timeout)
        #expect(monotonic() - start >= 300_000_000)
        #expect((due ?? .max) < start + 3_000_000_000)
        let unknown = try failure(trusting(), "wss://name.invalid/")
        #expect(unknown.kind == .cannotConnect)
        #expect(unknown.message.contains("name.invalid:443: the host's name cannot"))
    }

    @Test func noTLSThere() throws {
        let peer = try Peer(["connect"])
        let error = try failure(
            trusting { $0.timeout = 1_000_000_000 }, "wss://localhost:\(peer.port)/")
        #expect([.cannotConnect, .timeout].contains(error.kind))
    }
}

@Suite
struct ProxyTests {
    private func through(_ proxy: String, _ peer: borrowing Peer) -> ConnectOptions {
        trusting { $0.proxy = proxy.replacingOccurrences(of: "PORT", with: "\(peer.port)") }
    }

    @Test(arguments: ["connect", "socks5"], ["", "user:secret"])
    func tunnels(_ kind: String, _ credentials: String) throws {
        let proxy = try Peer([kind] + (credentials.isEmpty ? [] : [credentials]))
        let scheme = kind == "connect" ? "http" : "socks5h"
        let at = credentials.isEmpty ? "" : credentials + "@"
        let options = through("\(scheme)://\(at)127.0.0.1:PORT", proxy)
        let secure = try Peer(["tls", Certificates.directory, "server"])
        var transport = Transport(options)
        try establish(&transport, "wss://example.test:\(secure.port)/")
        #expect(try exchange(&transport, text("hi")) == text("hi"))
        let listener = Listener()
        try establish(&transport, "ws://example.test:\(listener.port)/")
        let peer = try listener.take()
        defer { close(peer) }
        #expect(Glibc.send(peer, "x", 1, 0) == 1)
        #expect(try receive(&transport, 1) == text("x"))
        #expect(transport.isTLS == false)
        let refused = try failure(options, "ws://example.test:9/")
        #expect(refused.kind == .cannotConnect)
        #expect(refused.message.contains("example.test:9 through \(scheme)://127.0.0.1:"))
        #expect(!refused.message.contains("secret"))
        if kind == "connect" { #expect(refused.message.hasSuffix("the proxy answered 502")) }
        if credentials.isEmpty { return }
        let wrong = through("\(scheme)://user:hush@127.0.0.1:PORT", proxy)
        let error = try failure(wrong, "ws://example.test:80/")
        #expect(error.kind == .verification)
        #expect(!error.message.contains("hush"))
        if kind == "connect" { #expect(error.message.hasSuffix("the proxy answered 407")) }
    }

    @Test func badProxies() throws {
        for proxy in ["gopher://u:hush@h:1", "http://u:hush@", "://"] {
            let error = try failure(trusting { $0.proxy = proxy }, "ws://127.0.0.1:1/")
            #expect(error.kind == .configuration)
            #expect(!error.message.contains("hush"))
        }
        let port = freePort()
        let error = try failure(
            trusting { $0.proxy = "http://u:hush@127.0.0.1:\(port)" }, "ws://h.test:80/")
        #expect(error.kind == .cannotConnect)
        #expect(
            error.message
                == "cannot connect to h.test:80 through http://127.0.0.1:\(port):"
                + " Connection refused")
    }

    @Test func noProxy() throws {
        let listener = Listener()
        let options = trusting {
            $0.proxy = "http://127.0.0.1:1"
            $0.noProxy = "127.0.0.1"
        }
        var transport = Transport(options)
        try establish(&transport, "ws://127.0.0.1:\(listener.port)/")
        #expect(transport.peerAddress == "127.0.0.1:\(listener.port)")
    }

    @Test func names() throws {
        let listener = Listener()
        var transport = Transport(
            trusting { $0.resolve = ["some.test:\(listener.port):127.0.0.1"] })
        try establish(&transport, "ws://some.test:\(listener.port)/")
        let peer = try listener.take()
        defer { close(peer) }
        #expect(try exchange(&transport, []) == [])
        transport.finishSending()
        var byte: UInt8 = 0
        #expect(recv(peer, &byte, 1, 0) == 0)
    }
}
