/// Why a text is no URL to connect to. Its words repeat nothing of the text, where a password may
/// stand in an unexpected place.
package struct URLError: Error, Equatable, Sendable, CustomStringConvertible {
    package var reason: String

    package init(_ reason: String) {
        self.reason = reason
    }

    package var description: String { reason }
}

/// Where to connect and what to ask for: a ws, wss, http or https URL (RFC 6455, section 3;
/// RFC 3986).
package struct ClientURL: Equatable, Sendable, CustomStringConvertible {
    /// True for wss and https.
    package var isSecure: Bool
    /// True for ws and wss.
    package var isWebSocket: Bool
    /// In lower case: a name or an IPv4 address, or an IPv6 address without its brackets.
    package var host: String
    /// From 1 to 65535.
    package var port: Int
    /// Path and query, at least "/". What may not stand there is percent-encoded; what is encoded
    /// stays as it was.
    package var target: String
    /// Percent-decoded, without control characters.
    package var user: String?
    package var password: String?

    /// The URL that `text` is. Throws for other schemes, control characters, userinfo that is not
    /// UTF-8, and a host that is neither a name in ASCII nor an address. Zone identifiers of IPv6
    /// addresses ("%25eth0", RFC 6874) are refused: they have no meaning beside a way to name the
    /// interface. A fragment is left out of an http or https URL (RFC 9110, sections 4.2.5 and
    /// 7.1), and refused in another (RFC 6455, section 3).
    ///
    /// `takesWebSocket`: a ws or wss URL is taken, too.
    package init(_ text: String, takesWebSocket: Bool = true) throws(URLError) {
        let text = [UInt8](text.utf8)
        guard let colon = URLText.schemeEnd(text) else {
            throw Self.unknownScheme(takesWebSocket)
        }
        try self.init(
            scheme: text[..<colon], text[(colon + 1)...], takesWebSocket: takesWebSocket)
    }

    /// `rest` is what follows the colon.
    init(
        scheme: ArraySlice<UInt8>, _ rest: ArraySlice<UInt8>, takesWebSocket: Bool = true
    ) throws(URLError) {
        if rest.contains(where: { $0 < 0x20 || $0 == 0x7F }) {
            throw URLError("a control character in the URL")
        }
        switch String(decoding: scheme.map(\.lowercased), as: UTF8.self) {
        case "ws": (isSecure, isWebSocket) = (false, true)
        case "wss": (isSecure, isWebSocket) = (true, true)
        case "http": (isSecure, isWebSocket) = (false, false)
        case "https": (isSecure, isWebSocket) = (true, false)
        default: throw Self.unknownScheme(takesWebSocket)
        }
        guard rest.starts(with: "//".utf8), takesWebSocket || !isWebSocket else {
            throw Self.unknownScheme(takesWebSocket)
        }
        let rest = try Self.withoutFragment(rest.dropFirst(2), isWebSocket: isWebSocket)
        let end = rest.firstIndex { $0 == UInt8(ascii: "/") || $0 == UInt8(ascii: "?") }
        var authority = rest[..<(end ?? rest.endIndex)]
        target = URLText.target(rest[authority.endIndex...])
        // The last one: a password may have an @ that nobody encoded.
        if let at = authority.lastIndex(of: UInt8(ascii: "@")) {
            (user, password) = try Self.userinfo(authority[..<at])
            authority = authority[(at + 1)...]
        }
        (host, port) = try Self.hostAndPort(authority, default: isSecure ? 443 : 80)
    }

    private static func unknownScheme(_ takesWebSocket: Bool) -> URLError {
        URLError("a URL begins with \(takesWebSocket ? "ws://, wss://, " : "")http:// or https://")
    }

    private static func withoutFragment(
        _ rest: ArraySlice<UInt8>, isWebSocket: Bool
    ) throws(URLError) -> ArraySlice<UInt8> {
        guard let hash = rest.firstIndex(of: UInt8(ascii: "#")) else { return rest }
        if isWebSocket {
            throw URLError("a fragment in the URL: write # as %23 (RFC 6455, section 3)")
        }
        // What stands before it would be a host, and may be half a password.
        let isInUserinfo =
            rest[hash...].contains(UInt8(ascii: "@"))
            && !rest[..<hash].contains { $0 == UInt8(ascii: "/") || $0 == UInt8(ascii: "?") }
        if isInUserinfo { throw URLError("a # in the URL's user or password: write it as %23") }
        return rest[..<hash]
    }

    private static func userinfo(
        _ text: ArraySlice<UInt8>
    ) throws(URLError) -> (user: String?, password: String?) {
        if text.isEmpty { return (nil, nil) }
        guard let colon = text.firstIndex(of: UInt8(ascii: ":")) else {
            return (try URLText.decoded(text), nil)
        }
        return (try URLText.decoded(text[..<colon]), try URLText.decoded(text[(colon + 1)...]))
    }

    private static func hostAndPort(
        _ text: ArraySlice<UInt8>, default defaultPort: Int
    ) throws(URLError) -> (host: String, port: Int) {
        var host = text
        var behind = text[text.endIndex...]
        if text.first == UInt8(ascii: "[") {
            guard let bracket = text.firstIndex(of: UInt8(ascii: "]")) else {
                throw URLError("the URL's host has a [ without its ]")
            }
            host = text[text.startIndex..<bracket].dropFirst()
            behind = text[(bracket + 1)...]
            if host.contains(UInt8(ascii: "%")) {
                throw URLError("zone identifiers of IPv6 addresses are not supported in URLs")
            }
            if !URLText.isIPv6(host) { throw URLError("the URL's host is no IPv6 address") }
        } else {
            if let colon = text.firstIndex(of: UInt8(ascii: ":")) {
                host = text[..<colon]
                behind = text[colon...]
            }
            try checkName(host)
        }
        let port = try port(behind) ?? defaultPort
        return (String(decoding: host.map(\.lowercased), as: UTF8.self), port)
    }

    private static func checkName(_ host: ArraySlice<UInt8>) throws(URLError) {
        if host.isEmpty { throw URLError("the URL has no host") }
        if host.contains(where: { $0 >= 0x80 }) {
            throw URLError("the URL's host has letters outside ASCII: write it as xn--...")
        }
        // RFC 3986 allows more, but no name in the DNS or in a hosts file has it.
        let isName = host.allSatisfy {
            $0.isDigit || (0x61...0x7A).contains($0.lowercased) || "-._".utf8.contains($0)
        }
        if !isName { throw URLError("the URL's host is neither a name nor an address") }
    }

    /// Nil for nothing, and for a colon alone (RFC 3986, section 3.2.3).
    private static func port(_ text: ArraySlice<UInt8>) throws(URLError) -> Int? {
        if text.isEmpty { return nil }
        let digits = text.dropFirst()
        if text.first == UInt8(ascii: ":"), digits.isEmpty { return nil }
        guard text.first == UInt8(ascii: ":"), let port = digits.decimal,
            (1...65_535).contains(port)
        else { throw URLError("the URL's port is no number from 1 to 65535") }
        return port
    }
}

// MARK: As text

extension ClientURL {
    package var scheme: String {
        switch (isWebSocket, isSecure) {
        case (true, true): "wss"
        case (true, false): "ws"
        case (false, true): "https"
        case (false, false): "http"
        }
    }

    /// For Host: brackets around IPv6, and no port when it is the scheme's own.
    package var authority: String {
        let host = host.utf8.contains(UInt8(ascii: ":")) ? "[\(host)]" : host
        return port == (isSecure ? 443 : 80) ? host : "\(host):\(port)"
    }

    /// The URL without userinfo. For messages see `redacted`.
    package var description: String { "\(scheme)://\(authority)\(target)" }

    /// The URL without userinfo and with "…" for each value of its query: what a diagnostic may
    /// show. A parameter without "=" is a value too.
    package var redacted: String {
        let parts = target.utf8.split(
            separator: UInt8(ascii: "?"), maxSplits: 1, omittingEmptySubsequences: false)
        guard parts.count == 2 else { return description }
        let parameters = parts[1].split(
            separator: UInt8(ascii: "&"), omittingEmptySubsequences: false)
        let names = parameters.map { parameter in
            guard let equals = parameter.firstIndex(of: UInt8(ascii: "=")) else {
                return parameter.isEmpty ? "" : "…"
            }
            return String(decoding: parameter[...equals], as: UTF8.self) + "…"
        }
        let path = String(decoding: parts[0], as: UTF8.self)
        return "\(scheme)://\(authority)\(path)?\(names.joined(separator: "&"))"
    }

    /// Appends a parameter to the query, both sides percent-encoded.
    package mutating func addQuery(name: String, value: String) {
        if !target.utf8.contains(UInt8(ascii: "?")) {
            target += "?"
        } else if target.utf8.last != UInt8(ascii: "?") && target.utf8.last != UInt8(ascii: "&") {
            target += "&"
        }
        target += "\(URLText.component(name))=\(URLText.component(value))"
    }

    /// Gives a parameter of the query this value, whatever it had.
    package mutating func setQuery(name: String, value: String) {
        let parts = target.split(separator: "?", maxSplits: 1, omittingEmptySubsequences: false)
        if parts.count == 2 {
            let names = [name, URLText.component(name)]
            let others = parts[1].split(separator: "&").filter { item in
                !names.contains(String(item.prefix { $0 != "=" }))
            }
            target = String(parts[0]) + (others.isEmpty ? "" : "?" + others.joined(separator: "&"))
        }
        addQuery(name: name, value: value)
    }

    /// True when both lead to the same server in the same way. Credentials for one must not go
    /// to the other where this is false.
    package func isSameOrigin(as other: ClientURL) -> Bool {
        isSecure == other.isSecure && host == other.host && port == other.port
    }
}
