import Foundation
import StreamCodec
import StreamTool
import Testing

@testable import StreamClient

@Suite struct RequestTests {
    private func fields(
        _ url: String = "ws://example.org/", _ change: (inout RequestOptions) throws -> Void
    ) throws -> [String] {
        var options = RequestOptions()
        try change(&options)
        return try options.resolved(for: try ClientURL(url)).fields.map {
            "\($0.name): \($0.value)"
        }
    }

    private func message(
        _ url: String = "ws://example.org/", _ change: (inout RequestOptions) throws -> Void
    ) throws -> String {
        do {
            _ = try fields(url, change)
        } catch let error as UsageError {
            return error.message
        } catch let error as Failure {
            return error.message
        }
        Issue.record("no error")
        return ""
    }

    @Test func headers() throws {
        let path = try file("# a comment\nX-Two:  2 \r\n\nX-Three:3\n")
        #expect(
            try fields { $0.headers = ["X-One: 1: one", "@\(path)", "Empty:"] }
                == ["X-One: 1: one", "X-Two: 2", "X-Three: 3", "Empty: "])
        for bad in ["no colon", ": empty", "a b: c", "X: a\r\nY: b", "X: \0", "X\u{e9}: y"] {
            #expect(try message { $0.headers = [bad] }.contains("expected 'NAME: VALUE'"))
        }
        let broken = try file("A: b\nsecret word\n")
        let text = try message { $0.headers = ["@\(broken)"] }
        #expect(text.contains("line 2") && !text.contains("secret"))
        #expect(try message { $0.headers = ["@-"] }.contains("standard input"))
        #expect(try message { $0.headers = ["@/absent"] }.contains("/absent: No such file"))
    }

    @Test func basic() throws {
        // RFC 7617, section 2.
        let aladdin = ["Authorization: Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ=="]
        #expect(try fields { $0.user = "Aladdin:open sesame" } == aladdin)
        let path = try file("open sesame\n")
        #expect(try fields { $0.user = "Aladdin:@\(path)" } == aladdin)
        #expect(try fields("ws://Aladdin:opensesame@h/") { _ in }.count == 1)
        #expect(try fields { $0.user = "a:" } == ["Authorization: Basic YTo="])
        #expect(try message { $0.user = "nobody" }.contains("no password for 'nobody'"))
    }

    @Test func bearerIsReadAgain() throws {
        let path = try file("one\n")
        var options = RequestOptions()
        options.bearerFile = path
        let url = try ClientURL("ws://h/")
        #expect(try options.resolved(for: url).fields.first?.value == "Bearer one")
        try Data("two".utf8).write(to: URL(fileURLWithPath: path))
        #expect(try options.resolved(for: url).fields.first?.value == "Bearer two")
    }

    @Test func secretsAreOneLineAndNotRepeated() throws {
        for bad in ["hush\nhush", "hush\r\nhush\n", "hush\0hush"] {
            let path = try file(bad)
            let text = try message { $0.bearerFile = path }
            #expect(text.contains(path) && !text.contains("hush"))
        }
        let empty = try file("")
        #expect(try message { $0.bearerFile = empty }.contains("empty"))
        let long = try file(String(repeating: "x", count: 1 << 17))
        #expect(try message { $0.bearerFile = long }.contains("more than"))
    }

    @Test func onlyOneCredential() throws {
        let token = try file("t")
        let both = "only one of"
        #expect(try message { ($0.user, $0.bearerFile) = ("a:b", token) }.contains(both))
        #expect(try message("ws://u:p@h/") { $0.user = "a:b" }.contains(both))
        #expect(try message("ws://u:p@h/") { $0.bearerFile = token }.contains(both))
        #expect(try message { ($0.netrc, $0.bearerFile) = (true, token) }.contains(both))
        #expect(
            try message { ($0.headers, $0.user) = (["authorization: x"], "a:b") }
                .contains("besides"))
    }

    @Test func cookiesAndQuery() throws {
        let path = try file("c=3\n")
        #expect(
            try fields { $0.cookies = ["a=1", "b=2", "@\(path)"] } == ["Cookie: a=1; b=2; c=3"])
        var options = RequestOptions()
        options.query = ["x=1", "token=@\(path)"]
        let url = try options.resolved(for: try ClientURL("ws://h/p")).url
        #expect(url.target.hasPrefix("/p?x=1&token=c"))
        options.query = ["secret"]
        #expect(throws: UsageError.self) { try options.resolved(for: try ClientURL("ws://h/p")) }
    }

    @Test func otherOriginGetsNoCredentials() throws {
        var options = RequestOptions()
        options.headers = ["X: y", "AUTHORIZATION: z"]
        options.cookies = ["c=d"]
        let original = try ClientURL("ws://a/")
        for other in ["wss://a/", "ws://b/", "ws://a:81/"] {
            let fields = try options.redirected(to: try ClientURL(other), from: original)
            #expect(fields.isEmpty)
        }
        let same = try options.redirected(to: try ClientURL("ws://A/other"), from: original)
        #expect(same.map(\.name) == ["X", "AUTHORIZATION", "Cookie"])
    }

    @Test func netrcOptions() throws {
        let path = try file("machine h login u password p\nmachine h login v password q")
        #expect(try fields("ws://h/") { $0.netrcFile = path } == ["Authorization: Basic dTpw"])
        #expect(try fields("ws://other/") { $0.netrcFile = path } == [])
        #expect(
            try fields("ws://h/") { ($0.netrcFile, $0.user) = (path, "v") }
                == ["Authorization: Basic djpx"])
        #expect(
            try fields("ws://v@h/") { $0.netrcFile = path } == ["Authorization: Basic djpx"])
        #expect(try message { $0.netrcFile = "/absent" }.contains("/absent: No such file"))
        let broken = try file("machine h passwort secret")
        let text = try message { $0.netrcFile = broken }
        #expect(text.contains("not understood") && !text.contains("secret"))
    }
}

@Suite struct NetrcTests {
    private func parse(_ text: String) -> Netrc? { Netrc(bytes: Array(text.utf8)) }

    @Test func entries() throws {
        let netrc = try #require(
            parse(
                "# comment\nmachine a.org login u password p#1 account x\n"
                    + "machine B.org\n\tlogin \"q u\"\n\tpassword \"\\\"\\\\\\n\\t\"\n"
                    + "default login anonymous password me"))
        #expect(
            netrc.entries == [
                .init(machine: "a.org", login: "u", password: "p#1"),
                .init(machine: "B.org", login: "q u", password: "\"\\\n\t"),
                .init(machine: nil, login: "anonymous", password: "me"),
            ])
        #expect(netrc.entry(for: "A.ORG", login: nil)?.login == "u")
        #expect(netrc.entry(for: "b.org", login: "q u")?.login == "q u")
        #expect(netrc.entry(for: "c.org", login: nil)?.login == "anonymous")
        #expect(netrc.entry(for: "a.org", login: "other") == nil)
    }

    @Test func macrosEndWithAnEmptyLine() throws {
        let netrc = try #require(
            parse("machine a login u\nmacdef init\ncd /\nmachine x\n\nmachine b login v"))
        #expect(netrc.entries.map(\.machine) == ["a", "b"])
        #expect(Netrc(bytes: Array("macdef m\ncd".utf8))?.entries == [])
    }

    @Test func broken() {
        for text in ["machine", "login u", "machine a login", "machine a login \"u", "word"] {
            #expect(parse(text) == nil)
        }
        #expect(Netrc(bytes: Array("machine a login ".utf8) + [0xff]) == nil)
    }

    /// No text makes it stop.
    @Test func cutAnywhere() {
        let text = Array("machine a login \"u\\n\" password p\nmacdef m\nx\n\ndefault login z".utf8)
        for end in 0...text.count { _ = Netrc(bytes: Array(text[..<end])) }
    }
}
