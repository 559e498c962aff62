import Glibc
import StreamCodec
import StreamTool

/// The proxy of a connection, as far as it matters before libcurl looks at it.
struct Proxy {
    private static let schemes = ["http", "https", "socks4", "socks4a", "socks5", "socks5h"]

    let text: String

    /// The proxy that was given, or that the environment has for such a URL. libcurl decides
    /// whether no_proxy says otherwise.
    init?(_ options: ConnectOptions, for url: ClientURL) {
        if let proxy = options.proxy {
            // An empty one turns the environment's off.
            if proxy.isEmpty { return nil }
            text = proxy
            return
        }
        // HTTP_PROXY is what a CGI program gets from the request's field Proxy.
        let names =
            (url.isSecure ? ["https_proxy", "HTTPS_PROXY"] : ["http_proxy"])
            + ["all_proxy", "ALL_PROXY"]
        guard let proxy = names.lazy.compactMap(Self.variable).first else { return nil }
        text = proxy
    }

    /// An environment variable that is set and not empty.
    static func variable(_ name: String) -> String? {
        guard let value = getenv(name), value.pointee != 0 else { return nil }
        return String(cString: value)
    }

    /// The proxy with everything that may be a secret left out.
    var redacted: String { Self.split(text).map { "\($0.scheme)://\($0.place)" } ?? "the proxy" }

    /// The channel is TLS at least as far as the proxy.
    var isSecure: Bool { Self.split(text)?.scheme == "https" }

    var isKnown: Bool { Self.split(text) != nil }

    /// The text, when it is a proxy: a known scheme or none, and a host. Empty stands for none.
    static func checked(_ text: String) throws(UsageError) -> String {
        guard text.isEmpty || split(text) != nil else {
            throw UsageError("expected http://, https://, socks5:// or socks5h:// and HOST:PORT")
        }
        return text
    }

    private static func split(_ text: String) -> (scheme: String, place: String)? {
        let bytes = Array(text.utf8)
        var rest = bytes[...]
        var scheme = "http"
        let mark = Array("://".utf8)
        if let start = bytes.indices.first(where: { bytes[$0...].starts(with: mark) }) {
            scheme = String(decoding: bytes[..<start], as: UTF8.self).lowercased()
            rest = bytes[(start + mark.count)...]
        }
        if let at = rest.lastIndex(of: UInt8(ascii: "@")) { rest = rest[(at + 1)...] }
        rest = rest.prefix { $0 != UInt8(ascii: "/") }
        guard schemes.contains(scheme), !rest.isEmpty else { return nil }
        return (scheme, String(decoding: rest, as: UTF8.self))
    }
}
