import CCurl
import Glibc
import StreamCodec
import StreamTool

/// What libcurl is told of a connection.
struct CurlSetup {
    /// An option and its value: a number, a text or a list.
    private enum Setting {
        case number(CURLoption, Int)
        case text(CURLoption, String?)
        case list(CURLoption, [String])
    }

    /// Where the system keeps certificates, each in a file that the hash of its subject's name
    /// leads to. Reading all of them in one file takes 18 ms, one by its hash 1 ms.
    private static let systemDirectory = "/etc/ssl/certs"

    /// What the connection is for.
    enum Purpose {
        /// A byte stream: what goes through it is ours.
        case channel
        /// A request of HTTP.
        case request
    }

    var purpose = Purpose.channel
    let options: ConnectOptions
    let url: ClientURL
    let proxy: Proxy?
    let place: String

    /// Tells the library everything. Throws `configuration` for what cannot be.
    func apply(to handle: inout CurlHandle) throws(TransportError) {
        if proxy?.isKnown == false { throw problem("the proxy's URL is not understood") }
        try checkFiles()
        let isTLS = url.isSecure || proxy?.isSecure ?? false
        for setting in basics + proxies + (try addresses()) + (isTLS ? verification : []) {
            let code =
                switch setting {
                case .number(let option, let value): handle.set(option, value)
                case .text(let option, let value): handle.set(option, value)
                case .list(let option, let values): handle.set(option, values)
                }
            // What an older library does not know is left at its default.
            guard code == CURLE_OK || code == CURLE_UNKNOWN_OPTION else {
                throw problem(String(cString: ccurl_easy_strerror(code)))
            }
        }
        ccurl_close_on_exec(handle.easy)
    }

    private func problem(_ reason: String) -> TransportError {
        TransportError(.configuration, "cannot connect to \(place): \(reason)")
    }

    private var basics: [Setting] {
        // Libraries that resolve in a thread need no signals for that, and then this only says
        // whether they keep SIGPIPE away while they write, which old ones with OpenSSL must.
        let hasResolverThread = ccurl_features() & CURL_VERSION_ASYNCHDNS != 0
        return [
            .number(CURLOPT_CONNECT_ONLY, purpose == .channel ? 1 : 0),
            // A channel is HTTP/1.1, because WebSocket is; a request may become HTTP/2 over TLS.
            .number(
                CURLOPT_HTTP_VERSION,
                purpose == .channel ? CURL_HTTP_VERSION_1_1 : CURL_HTTP_VERSION_2TLS),
            .number(CURLOPT_TCP_NODELAY, 1),
            .number(CURLOPT_TCP_KEEPALIVE, 1),
            .number(CURLOPT_NOSIGNAL, hasResolverThread ? 0 : 1),
            // Giving up must not wait for the answer of a name server.
            .number(CURLOPT_QUICK_EXIT, 1),
            // For a channel a little later than ours, whose message is better.
            .number(
                CURLOPT_CONNECTTIMEOUT_MS,
                Int(min(options.timeout / 1_000_000, 1 << 30)) + (purpose == .channel ? 1000 : 0)),
        ]
    }

    private var proxies: [Setting] {
        // A request without TLS is handed to the proxy, which may well refuse CONNECT to its port.
        let needsTunnel = purpose == .channel || url.isSecure
        var settings: [Setting] = [.number(CURLOPT_HTTPPROXYTUNNEL, needsTunnel ? 1 : 0)]
        if let proxy = options.unixSocket == nil ? options.proxy : "" {
            settings.append(.text(CURLOPT_PROXY, proxy))
        }
        if let list = options.noProxy { settings.append(.text(CURLOPT_NOPROXY, list)) }
        return settings
    }

    private func addresses() throws(TransportError) -> [Setting] {
        let host = url.host.utf8.contains(UInt8(ascii: ":")) ? "[\(url.host)]" : url.host
        var name = host
        var settings: [Setting] = []
        if url.isSecure, let server = options.serverName {
            guard ConnectOptions.isHostName(server) else {
                throw problem("'\(server)' is no host name")
            }
            name = server
            settings.append(.list(CURLOPT_CONNECT_TO, ["::\(host):\(url.port)"]))
        }
        let scheme = url.isSecure ? "https" : "http"
        let target = purpose == .channel ? "/" : url.target
        settings.append(.text(CURLOPT_URL, "\(scheme)://\(name):\(url.port)\(target)"))
        if !options.resolve.isEmpty { settings.append(.list(CURLOPT_RESOLVE, options.resolve)) }
        if let interface = options.interface {
            settings.append(.text(CURLOPT_INTERFACE, interface))
        }
        if let path = options.unixSocket { settings.append(.text(CURLOPT_UNIX_SOCKET_PATH, path)) }
        switch options.family {
        case .any: break
        case .v4: settings.append(.number(CURLOPT_IPRESOLVE, Int(CURL_IPRESOLVE_V4)))
        case .v6: settings.append(.number(CURLOPT_IPRESOLVE, Int(CURL_IPRESOLVE_V6)))
        }
        return settings
    }

    private var verification: [Setting] {
        var settings = authorities
        if options.isInsecure {
            settings.append(.number(CURLOPT_SSL_VERIFYPEER, 0))
            settings.append(.number(CURLOPT_SSL_VERIFYHOST, 0))
        }
        if let cert = options.cert { settings.append(.text(CURLOPT_SSLCERT, cert)) }
        if let key = options.key { settings.append(.text(CURLOPT_SSLKEY, key)) }
        // OpenSSL would ask for a passphrase on the terminal, and wait.
        settings.append(.text(CURLOPT_KEYPASSWD, ""))
        if let key = options.pinnedKey { settings.append(.text(CURLOPT_PINNEDPUBLICKEY, key)) }
        return settings
    }

    /// Whose certificates are trusted: of the peer, and of a proxy that is reached by TLS.
    private var authorities: [Setting] {
        var file = options.cacert ?? Proxy.variable("SSL_CERT_FILE")
        var directory: String?
        if let path = options.cacert, Self.isDirectory(path) {
            (file, directory) = (nil, path)
        } else if options.cacert == nil {
            directory = Proxy.variable("SSL_CERT_DIR")
            if file == nil && directory == nil {
                guard Self.isHashed(Self.systemDirectory) else { return [] }
                directory = Self.systemDirectory
            }
        }
        return [
            .text(CURLOPT_CAINFO, file), .text(CURLOPT_CAPATH, directory),
            .text(CURLOPT_PROXY_CAINFO, file), .text(CURLOPT_PROXY_CAPATH, directory),
        ]
    }

    private static func isDirectory(_ path: String) -> Bool {
        var status = stat()
        return stat(path, &status) == 0 && status.st_mode & S_IFMT == S_IFDIR
    }

    /// True when there is a name as OpenSSL's c_rehash gives it: eight digits and a number.
    private static func isHashed(_ path: String) -> Bool {
        guard let directory = opendir(path) else { return false }
        defer { closedir(directory) }
        while let entry = readdir(directory) {
            let name = withUnsafeBytes(of: &entry.pointee.d_name) { Array($0.prefix(10)) }
            if name[8] == UInt8(ascii: "."), UInt8(ascii: "0")...UInt8(ascii: "9") ~= name[9],
                name[..<8].allSatisfy({
                    UInt8(ascii: "0")...UInt8(ascii: "9") ~= $0
                        || UInt8(ascii: "a")...UInt8(ascii: "f") ~= $0
                })
            {
                return true
            }
        }
        return false
    }

    /// The library's messages name either the file or the reason.
    private func checkFiles() throws(TransportError) {
        guard url.isSecure else { return }
        for path in [options.cacert, options.cert, options.key] {
            guard let path, access(path, R_OK) != 0 else { continue }
            throw TransportError(.certificateFile, "\(path): \(errorText(errno))")
        }
        if let key = options.pinnedKey, !key.hasPrefix("sha256//"), access(key, R_OK) != 0 {
            throw TransportError(.certificateFile, "\(key): \(errorText(errno))")
        }
    }
}
