import StreamCodec
import Testing

/// RFC 7692, section 7.1: what is offered, answered and accepted.
@Suite struct PerMessageDeflateTests {
    @Test func offers() {
        let name = "permessage-deflate"
        let offer = DeflateParameters.offer
        check(offer(15, false), "\(name); client_max_window_bits")
        check(
            offer(15, true),
            "\(name); server_no_context_takeover; client_no_context_takeover"
                + "; client_max_window_bits")
        // Many servers cannot limit their window, and must decline the first.
        check(
            offer(10, false),
            "\(name); server_max_window_bits=10; client_max_window_bits=10"
                + ", \(name); client_max_window_bits")
    }

    /// Made of an answer: server and client forget, server's and client's window.
    private func parameters(
        _ server: Bool, _ client: Bool, _ serverBits: Int, _ clientBits: Int
    ) -> DeflateParameters {
        var parameters = DeflateParameters()
        parameters.serverNoContextTakeover = server
        parameters.clientNoContextTakeover = client
        parameters.serverMaxWindowBits = serverBits
        parameters.clientMaxWindowBits = clientBits
        return parameters
    }

    private func accept(
        _ value: String, windowBits: Int = 15, noContextTakeover: Bool = false
    ) throws -> DeflateParameters? {
        try DeflateParameters.accepted(
            value, windowBits: windowBits, noContextTakeover: noContextTakeover)
    }

    @Test func acceptedAnswers() throws {
        let plain = parameters(false, false, 15, 15)
        for value in [
            "permessage-deflate", "  permessage-deflate  ", "Permessage-Deflate",
            ", permessage-deflate,", "permessage-deflate;server_max_window_bits=15",
            "permessage-deflate ; client_max_window_bits = 15",
            #"permessage-deflate; server_max_window_bits="15""#,
            #"permessage-deflate; server_max_window_bits="1\5""#,
        ] {
            try check(try accept(value), plain, value)
        }
        try check(try accept(""), nil)
        try check(
            try accept("permessage-deflate; server_no_context_takeover"),
            parameters(true, false, 15, 15))
        try check(
            try accept("permessage-deflate; client_no_context_takeover"),
            parameters(false, true, 15, 15))
        try check(
            try accept("permessage-deflate; server_max_window_bits=8; client_max_window_bits=8"),
            parameters(false, false, 8, 8))
        try check(
            try accept("permessage-deflate; server_max_window_bits=9", windowBits: 10),
            parameters(false, false, 9, 10))
        try check(
            try accept("permessage-deflate", windowBits: 10), parameters(false, false, 15, 10))
        try check(
            try accept(
                "permessage-deflate; server_max_window_bits=11; client_max_window_bits=12",
                windowBits: 10),
            parameters(false, false, 11, 10))
        try check(
            try accept("permessage-deflate; server_no_context_takeover", noContextTakeover: true),
            parameters(true, true, 15, 15))
    }

    @Test func refusedAnswers() {
        let deflate = "permessage-deflate"
        for value in [
            "permessage-bzip2", "\(deflate), permessage-bzip2", "\(deflate), \(deflate)",
            "\(deflate); unknown", "\(deflate); server_no_context_takeover=1",
            "\(deflate); client_no_context_takeover=true",
            "\(deflate); server_no_context_takeover; server_no_context_takeover",
            "\(deflate); server_max_window_bits", "\(deflate); server_max_window_bits=7",
            "\(deflate); server_max_window_bits=16", "\(deflate); server_max_window_bits=010",
            "\(deflate); server_max_window_bits=+9", "\(deflate); server_max_window_bits=1e1",
            "\(deflate); client_max_window_bits", "\(deflate); client_max_window_bits=16",
            "\(deflate);", "\(deflate); =", "\(deflate); a=", "\(deflate) x", "=", ";", "\"\"",
            "\(deflate); server_max_window_bits=\"10", "\(deflate); server_max_window_bits=\"\"",
            "\(deflate); server_max_window_bits=\"1 0\"",
            "\(deflate); server_max_window_bits=\"1\\",
            "\(deflate); SERVER_MAX_WINDOW_BITS=10",
        ] {
            #expect(throws: HandshakeError.self, "\(value)") { try accept(value) }
        }
        // What was asked for and not agreed to.
        #expect(throws: HandshakeError.self) { try accept(deflate, noContextTakeover: true) }
    }

    private func negotiate(
        _ value: String, windowBits: Int = 15, noContextTakeover: Bool = false
    ) -> String? {
        DeflateParameters.negotiate(
            value, windowBits: windowBits, noContextTakeover: noContextTakeover)?.answer
    }

    @Test func answers() {
        let name = "permessage-deflate"
        check(negotiate(name), name)
        check(negotiate("\(name); client_max_window_bits"), name)
        check(negotiate("x-webkit-deflate-frame, \(name)"), name)
        check(
            negotiate("\(name); server_no_context_takeover"), "\(name); server_no_context_takeover")
        check(
            negotiate("\(name); client_no_context_takeover"), "\(name); client_no_context_takeover")
        check(
            negotiate("\(name); server_max_window_bits=10"), "\(name); server_max_window_bits=10")
        check(
            negotiate("\(name); server_max_window_bits=15"), "\(name); server_max_window_bits=15")
        check(
            negotiate("\(name); client_max_window_bits=8"), "\(name); client_max_window_bits=8")
        // Ours, as far as the client understands it.
        check(
            negotiate(name, windowBits: 10, noContextTakeover: true),
            "\(name); server_no_context_takeover; client_no_context_takeover"
                + "; server_max_window_bits=10")
        check(
            negotiate("\(name); client_max_window_bits; server_max_window_bits=12", windowBits: 10),
            "\(name); server_max_window_bits=10; client_max_window_bits=10")
        check(
            negotiate("\(name); client_max_window_bits=9", windowBits: 10),
            "\(name); server_max_window_bits=10; client_max_window_bits=9")
    }

    @Test func declinedOffers() {
        let name = "permessage-deflate"
        for offer in [
            "", "gzip", "\(name); server_max_window_bits=8", "\(name); unknown",
            "\(name); server_max_window_bits", "\(name); server_no_context_takeover=1",
            "\(name); client_max_window_bits=7", "\(name); client_max_window_bits=",
            "\(name); client_no_context_takeover; client_no_context_takeover", "\(name);;",
            "\(name)=1",
        ] {
            check(negotiate(offer), nil, offer)
        }
        // The next one may be better, but not when the field is malformed.
        check(negotiate("\(name); server_max_window_bits=8, \(name)"), name)
        check(
            negotiate("\(name); unknown=1, \(name); server_no_context_takeover, \(name)"),
            "\(name); server_no_context_takeover")
        check(negotiate("\(name);;, \(name)"), nil)
    }

    /// Any client of ours, any server of ours.
    @Test func bothEndsAgree() throws {
        for (bits, forgets) in [(15, false), (15, true), (12, false), (9, true)] {
            for (serverBits, serverForgets) in [(15, false), (15, true), (10, false), (9, true)] {
                let offer = DeflateParameters.offer(windowBits: bits, noContextTakeover: forgets)
                let (atServer, answer) = try #require(
                    DeflateParameters.negotiate(
                        offer, windowBits: serverBits, noContextTakeover: serverForgets))
                let atClient = try DeflateParameters.accepted(
                    answer, windowBits: bits, noContextTakeover: forgets)
                check(atClient, atServer, "\(offer) -> \(answer)")
                check(atServer.serverMaxWindowBits, min(bits, serverBits))
                check(atServer.clientMaxWindowBits, min(bits, serverBits))
                check(atServer.serverNoContextTakeover, forgets || serverForgets)
            }
        }
    }
}
