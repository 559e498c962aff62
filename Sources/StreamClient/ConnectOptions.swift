import StreamTool

/// What a user may say of the connection.
package struct ConnectOptions: Sendable {
    package enum Family: Sendable { case any, v4, v6 }

    /// `http://HOST:PORT`, `socks5h://…`; nil leaves it to http_proxy, https_proxy and all_proxy.
    package var proxy: String?
    /// Hosts that are reached without a proxy, as no_proxy has them.
    package var noProxy: String?
    /// A file of certificates, or a directory of them, that are trusted instead of the system's.
    package var cacert: String?
    /// The client's certificate and key, PEM.
    package var cert: String?
    package var key: String?
    /// The peer's certificate is not verified.
    package var isInsecure = false
    /// The name for SNI and verification, when it is not the URL's.
    package var serverName: String?
    /// `sha256//BASE64[;sha256//BASE64]` or a file with the public key.
    package var pinnedKey: String?
    /// `HOST:PORT:ADDRESS[,ADDRESS]`
    package var resolve: [String] = []
    /// A network interface, a host name or an address to connect from.
    package var interface: String?
    package var family = Family.any
    package var unixSocket: String?
    /// Nanoseconds from the start to the connected channel, with name, proxy and TLS.
    package var timeout: UInt64 = 30_000_000_000

    /// Something says who the peer is, or who we are: that takes TLS.
    package var namesPeer: Bool {
        cacert != nil || cert != nil || key != nil || serverName != nil || pinnedKey != nil
    }

    package init() {}
}

/// Settings of a tool that connects.
package protocol ConnectSettings {
    var connect: ConnectOptions { get set }
}

extension Option where Settings: ConnectSettings {
    /// The rows that all tools share that connect.
    package static var connecting: OptionGroup<Settings> {
        OptionGroup("Connecting", proxies + verification + addresses)
    }

    private static var proxies: [Option<Settings>] {
        [
            Option(
                nil, "proxy",
                "Connect through a proxy: http://HOST:PORT (by CONNECT), https://, socks5:// or"
                    + " socks5h:// (the proxy resolves the name), with USER:PASSWORD@ where it asks"
                    + " for that. Otherwise http_proxy, https_proxy and all_proxy are used.",
                argument: .required("URL")
            ) { settings, value in
                settings.connect.proxy = try Proxy.checked(value ?? "")
            },
            .string(
                nil, "noproxy", "LIST", { $0.connect.noProxy = $1 },
                "Hosts and domains, separated by commas, that are reached without a proxy, or * for"
                    + " all (no_proxy)."),
        ]
    }

    private static var verification: [Option<Settings>] {
        [
            .file(
                nil, "cacert", { $0.connect.cacert = $1 },
                "Trust the certificates in FILE (PEM) instead of the system's."),
            .file(
                nil, "cert", { $0.connect.cert = $1 },
                "The client's certificate (PEM), with its key unless --key is given."),
            .file(
                nil, "key", { $0.connect.key = $1 },
                "The key of the client's certificate (PEM, without a passphrase)."),
            .set(
                nil, "insecure", { $0.connect.isInsecure = true },
                "Do not verify the server's certificate: anybody may be the peer."),
            Option(
                nil, "servername",
                "The name that is sent (SNI) and verified, when it is not the URL's.",
                argument: .required("NAME")
            ) { settings, value in
                settings.connect.serverName = try hostName(value ?? "")
            },
            .string(
                nil, "pinnedpubkey", "HASHES", { $0.connect.pinnedKey = $1 }, completion: .file,
                "Accept only a server with this public key: sha256//BASE64, several with ; between"
                    + " them, or a file (PEM or DER)."),
        ]
    }

    private static var addresses: [Option<Settings>] {
        [
            Option(
                nil, "resolve",
                "The address of a host on a port, which is not looked up then. May be repeated.",
                argument: .required("HOST:PORT:ADDRESS")
            ) { settings, value in
                settings.connect.resolve.append(try resolution(value ?? ""))
            },
            .string(
                nil, "interface", "NAME", { $0.connect.interface = $1 },
                "The network interface or address to connect from."),
            .set(
                "4", "ipv4", { $0.connect.family = .v4 },
                "Connect to IPv4 addresses only."),
            .set(
                "6", "ipv6", { $0.connect.family = .v6 },
                "Connect to IPv6 addresses only."),
            .string(
                nil, "unix-socket", "PATH", { $0.connect.unixSocket = $1 }, completion: .file,
                "Connect to a Unix domain socket; the URL still says what to ask for."),
            .duration(
                nil, "connect-timeout", { $0.connect.timeout = $1 == 0 ? Value.never : $1 },
                orZero: true,
                "How long connecting may take, the opening handshake included (30s); 0 sets no"
                    + " limit."),
        ]
    }
}

/// What may be a server's name: it becomes part of a URL.
private func hostName(_ text: String) throws -> String {
    guard ConnectOptions.isHostName(text) else {
        throw UsageError("expected a host name, not '\(text)'")
    }
    return text
}

/// `HOST:PORT:ADDRESS`, or `-HOST:PORT`.
private func resolution(_ text: String) throws -> String {
    let parts = text.split(separator: ":", maxSplits: 2, omittingEmptySubsequences: false)
    guard parts.count == 3, !parts[0].isEmpty, let port = Int(parts[1]), 1...65535 ~= port,
        !parts[2].isEmpty
    else { throw UsageError("expected HOST:PORT:ADDRESS, not '\(text)'") }
    return text
}

extension ConnectOptions {
    static func isHostName(_ text: String) -> Bool {
        !text.isEmpty && text.utf8.count <= 253
            && text.utf8.allSatisfy {
                UInt8(ascii: "a")...UInt8(ascii: "z") ~= $0 | 0x20
                    || UInt8(ascii: "0")...UInt8(ascii: "9") ~= $0
                    || $0 == UInt8(ascii: ".") || $0 == UInt8(ascii: "-")
                    || $0 == UInt8(ascii: "_")
            }
    }
}
