import StreamCodec
import Testing

@Suite struct ClientURLTests {
    private func reason(_ text: String) -> String? {
        do throws(StreamCodec.URLError) {
            _ = try ClientURL(text)
            return nil
        } catch {
            return error.description
        }
    }

    @Test func parts() throws {
        let url = try ClientURL("WSS://us%65r:p%40ss%3A@Example.COM:8443/a/b?c=d&e")
        #expect(url.isSecure && url.isWebSocket)
        #expect(url.scheme == "wss" && url.host == "example.com" && url.port == 8443)
        #expect(url.target == "/a/b?c=d&e")
        #expect(url.user == "user" && url.password == "p@ss:")
        #expect(url.authority == "example.com:8443")
        #expect(url.description == "wss://example.com:8443/a/b?c=d&e")
        #expect(url.redacted == "wss://example.com:8443/a/b?c=…&…")
    }

    /// The port that is the scheme's own is left out of Host; another scheme's is not.
    @Test(arguments: [
        ("ws://h", 80, "h"), ("wss://h", 443, "h"), ("http://h:80", 80, "h"),
        ("https://h:443/", 443, "h"), ("ws://h:443", 443, "h:443"), ("wss://h:80", 80, "h:80"),
        ("ws://h:", 80, "h"), ("ws://h:00080", 80, "h"), ("ws://h:1", 1, "h:1"),
        ("ws://h:65535", 65_535, "h:65535"), ("ws://[::1]", 80, "[::1]"),
        ("ws://[FE80::a]:81", 81, "[fe80::a]:81"), ("wss://127.0.0.1:443", 443, "127.0.0.1"),
    ])
    func ports(_ text: String, _ port: Int, _ authority: String) throws {
        let url = try ClientURL(text)
        #expect(url.port == port && url.authority == authority && url.target == "/")
    }

    @Test(arguments: [
        ("", "/"), ("/", "/"), ("?a", "/?a"), ("/?", "/?"), ("/a b", "/a%20b"), ("/é", "/%C3%A9"),
        ("/%c3%A9", "/%c3%A9"), ("/100%", "/100%25"), ("/%4", "/%254"), ("/%zz", "/%25zz"),
        ("/a\\b", "/a%5Cb"), ("/?a[]=\"<>^`{|}", "/?a%5B%5D=%22%3C%3E%5E%60%7B%7C%7D"),
        ("/-._~!$&'()*+,;=:@/?x?/", "/-._~!$&'()*+,;=:@/?x?/"), ("/a@b", "/a@b"),
        ("/a/../b/./c", "/a/../b/./c"), ("//a", "//a"),
    ])
    func targets(_ text: String, _ target: String) throws {
        let url = try ClientURL("ws://h" + text)
        #expect(url.target == target && url.host == "h")
        #expect(try ClientURL(url.description) == url)
    }

    @Test(arguments: [
        "::", "::1", "1::", "1:2:3:4:5:6:7:8", "1:2:3:4:5:6:7::", "::2:3:4:5:6:7:8", "2001:db8::1",
        "::ffff:192.0.2.1", "1:2:3:4:5:6:192.0.2.1", "1::0.0.0.0", "abcd:EF01::",
    ])
    func addresses(_ address: String) throws {
        let url = try ClientURL("ws://[\(address)]:81/")
        #expect(url.host == address.lowercased() && url.port == 81)
        #expect(url.authority == "[\(address.lowercased())]:81")
    }

    @Test(arguments: [
        "", ":", ":::", "1", "1:2", "1:2:3:4:5:6:7", "1:2:3:4:5:6:7:8:9", "1::2::3", "12345::",
        ":1:2:3:4:5:6:7", "1:2:3:4:5:6:7:", "g::", "::1.2.3", "::1.2.3.256", "::01.2.3.4",
        "1.2.3.4::", "1.2.3.4", "1:2:3:4:5:6:7:1.2.3.4", "1:2:3:4:5:6:7:8::", "::1 ", "v1.x",
        "::1.2.3.4.5", "::1..2.3", "h",
    ])
    func noAddresses(_ address: String) {
        #expect(reason("ws://[\(address)]/") == "the URL's host is no IPv6 address")
    }

    @Test(arguments: ["fe80::1%25eth0", "fe80::1%eth0"]) func zones(_ address: String) {
        #expect(reason("ws://[\(address)]/")?.contains("zone identifiers") == true)
    }

    @Test(arguments: [
        ("", "begins with ws://"), ("h", "begins with"), ("localhost:80/", "begins with"),
        ("//h/", "begins with"), ("ws:/h", "begins with"), ("ws:h", "begins with"),
        ("ftp://h", "begins with"), (" ws://h", "begins with"), ("://h", "begins with"),
        ("ws://h/#x", "fragment"), ("ws://h#", "fragment"), ("ws://u:p#@h", "fragment"),
        ("ws://", "no host"), ("ws:///a", "no host"), ("ws://:80", "no host"),
        ("ws://u@", "no host"), ("ws://u@:1", "no host"), ("ws://?a", "no host"),
        ("ws://bücher.example", "xn--"), ("ws://a b/", "neither a name"),
        ("ws://a%41/", "neither a name"), ("ws://a,b", "neither a name"),
        ("ws://a]", "neither a name"), ("ws://[::1", "without its ]"),
        ("ws://[::1]x", "port"), ("ws://h:0", "port"), ("ws://h:65536", "port"),
        ("ws://h:+80", "port"), ("ws://h:-1", "port"), ("ws://h:8 0", "port"), ("ws://h:a", "port"),
        ("ws://h:99999999999999999999", "port"), ("ws://::1", "no host"), ("ws://1::2", "port"),
        ("ws://h/\n", "control"), ("ws://h/\r\nX: y", "control"), ("ws://h/\0", "control"),
        ("ws://h/\t", "control"), ("ws://h\u{7F}", "control"), ("ws://a%0Ab@h", "control"),
        ("ws://a:b%00@h", "control"), ("ws://a:%@h", "%25"), ("ws://%f@h", "%25"),
        ("ws://%ff@h", "UTF-8"),
    ])
    func refused(_ text: String, _ expected: String) throws {
        let reason = try #require(self.reason(text))
        #expect(reason.contains(expected))
    }

    @Test(
        arguments: [
            ("u", "u", nil), ("u:", "u", ""), (":p", "", "p"), ("u:p:q", "u", "p:q"),
            ("", nil, nil),
            ("a@b:c@d", "a@b", "c@d"), ("%E2%82%AC:%25", "€", "%"),
        ] as [(String, String?, String?)])
    func userinfo(_ text: String, _ user: String?, _ password: String?) throws {
        let url = try ClientURL("ws://\(text)@h:1/")
        #expect(url.user == user && url.password == password)
        #expect(url.host == "h" && url.description == "ws://h:1/")
    }

    /// Not in any message, wherever the mistake is.
    @Test(arguments: [
        "wss://user:hunter2@h:0/", "wss://user:hunter2@", "hunter2://u@h", "ws://u:hunter2@[h",
        "ws://u:hunter2@h/#f", "ws://u:hunter2%@h", "ws://u:hunter2", "user:hunter2@host",
        "ws://u:hunter2@ü", "ws://hunter2\n@h", "ws://u:hunter2@h:hunter2", "ws:hunter2@h",
        "ws://u:hunter2%ff@h", "ws://u:hunter2 @a b", "ws://u:hunter2@[::1%25hunter2]",
    ])
    func secretsStayOut(_ text: String) throws {
        let reason = try #require(self.reason(text))
        #expect(!reason.contains("hunter2"))
    }

    @Test func valuesAreRedacted() throws {
        for (query, shown) in [
            ("", ""), ("?", "?"), ("?a=", "?a=…"), ("?token", "?…"),
            ("?a=b=c&d&&e=f?", "?a=…&…&&e=…"),
        ] {
            let url = try ClientURL("wss://u:p@h/x\(query)")
            #expect(url.redacted == "wss://h/x\(shown)")
        }
    }

    /// RFC 9110, sections 4.2.5 and 7.1: it is for who reads the answer.
    @Test(arguments: [
        ("http://h/#x", "http://h/"), ("https://h#x", "https://h/"),
        ("http://h?a#b?c#d", "http://h/?a"),
        ("http://u:p@h/a#b@c", "http://h/a"), ("http://h:81#", "http://h:81/"),
    ])
    func fragmentsOfHTTP(_ text: String, _ expected: String) throws {
        #expect(try ClientURL(text).description == expected)
    }

    /// Not a request to a host that is half of it.
    @Test(arguments: ["http://u:8#p@h/", "https://u#x@h", "http://u:p#/@h"])
    func passwordsWithAHash(_ text: String) {
        #expect(reason(text) == "a # in the URL's user or password: write it as %23")
    }

    @Test func addsToTheQuery() throws {
        var url = try ClientURL("ws://h/a")
        url.addQuery(name: "k y", value: "a&b=c%+é~")
        #expect(url.target == "/a?k%20y=a%26b%3Dc%25%2B%C3%A9~")
        url.addQuery(name: "x", value: "")
        #expect(url.target == "/a?k%20y=a%26b%3Dc%25%2B%C3%A9~&x=")
        for (text, target) in [("?", "/?a=b"), ("?c", "/?c&a=b"), ("?c&", "/?c&a=b")] {
            var url = try ClientURL("ws://h" + text)
            url.addQuery(name: "a", value: "b")
            #expect(url.target == target)
        }
        url.addQuery(name: "i", value: "\r\nX: y\0")
        #expect(url.target.hasSuffix("&i=%0D%0AX%3A%20y%00"))
    }

    /// RFC 3986, sections 5.4.1 and 5.4.2, where the result is a URL of ours.
    @Test(arguments: [
        ("g", "/b/c/g"), ("./g", "/b/c/g"), ("g/", "/b/c/g/"), ("/g", "/g"), ("?y", "/b/c/d;p?y"),
        ("g?y", "/b/c/g?y"), ("#s", "/b/c/d;p?q"), ("g#s", "/b/c/g"), ("g?y#s", "/b/c/g?y"),
        (";x", "/b/c/;x"), ("g;x", "/b/c/g;x"), ("g;x?y#s", "/b/c/g;x?y"), ("", "/b/c/d;p?q"),
        (".", "/b/c/"), ("./", "/b/c/"), ("..", "/b/"), ("../", "/b/"), ("../g", "/b/g"),
        ("../..", "/"), ("../../", "/"), ("../../g", "/g"), ("../../../g", "/g"),
        ("../../../../g", "/g"), ("/./g", "/g"), ("/../g", "/g"), ("g.", "/b/c/g."),
        (".g", "/b/c/.g"), ("g..", "/b/c/g.."), ("..g", "/b/c/..g"), ("./../g", "/b/g"),
        ("./g/.", "/b/c/g/"), ("g/./h", "/b/c/g/h"), ("g/../h", "/b/c/h"),
        ("g;x=1/./y", "/b/c/g;x=1/y"), ("g;x=1/../y", "/b/c/y"), ("g?y/./x", "/b/c/g?y/./x"),
        ("g?y/../x", "/b/c/g?y/../x"), ("g#s/../x", "/b/c/g"), ("a b", "/b/c/a%20b"),
        ("/.//e", "//e"),
    ])
    func references(_ location: String, _ target: String) throws {
        let base = try ClientURL("http://u:p@a:81/b/c/d;p?q")
        var expected = base
        expected.target = target
        #expect(try base.resolving(location) == expected)
    }

    @Test(arguments: [
        ("wss://x/../y", "wss://x/y"), ("HTTPS://x:444", "https://x:444/"), ("//g", "ws://g/"),
        ("//g:81?a#f", "ws://g:81/?a"), ("http://[::1]/./a#f", "http://[::1]/a"),
        ("ws://x/a#b", "ws://x/a"), ("//v@g", "ws://g/"),
    ])
    func otherPlaces(_ location: String, _ expected: String) throws {
        let base = try ClientURL("ws://u:p@a/b")
        let url = try base.resolving(location)
        #expect(url.description == expected)
        // The name and the password do not go to another server.
        #expect(url.user == (location == "//v@g" ? "v" : nil) && url.password == nil)
        #expect(!url.isSameOrigin(as: base))
    }

    @Test(arguments: ["ftp://x", "mailto:a", "http:g", "//", "ws://h:0", "/a\r\nb", "g\0", "a:b"])
    func badReferences(_ location: String) throws {
        let base = try ClientURL("ws://a/b")
        #expect(throws: StreamCodec.URLError.self) { try base.resolving(location) }
    }

    @Test func origins() throws {
        let url = try ClientURL("wss://h/a")
        for same in ["https://H:443/b?c", "wss://u:p@h"] {
            #expect(url.isSameOrigin(as: try ClientURL(same)))
        }
        for other in ["ws://h/a", "wss://h:444/a", "wss://i/a", "ws://h:443/a"] {
            #expect(!url.isSameOrigin(as: try ClientURL(other)))
        }
    }
}
