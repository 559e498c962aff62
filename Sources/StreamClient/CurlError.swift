import CCurl
import StreamTool

/// What a failed call of libcurl's means to us.
struct CurlError {
    private let code: CURLcode
    /// What the library says, which may name the proxy as it was given.
    private let text: String
    /// The error number of the last connect(2).
    private let number: Int32
    /// How an HTTP proxy answered CONNECT; 0 when it did not.
    private let proxyStatus: Int
    /// Why a SOCKS proxy refused: CURLPX_*.
    private let proxyCode: Int

    init(_ handle: borrowing CurlHandle, _ code: CURLcode) {
        self.code = code
        // The first message is kept, and a peer that closes early leaves this one, which was no
        // error then.
        let text = handle.errorText
        self.text = text.hasPrefix("getpeername()") ? "" : text
        number = Int32(truncatingIfNeeded: ccurl_get_long(handle.easy, CURLINFO_OS_ERRNO))
        proxyStatus = ccurl_get_long(handle.easy, CURLINFO_HTTP_CONNECTCODE)
        proxyCode = ccurl_get_long(handle.easy, CURLINFO_PROXY_ERROR)
    }

    /// The error of an attempt to connect.
    func error(at place: String) -> TransportError {
        TransportError(kind, "cannot connect to \(place): \(reason)")
    }

    /// Why, without the place.
    var reason: String {
        if isProxyStatus { return "the proxy answered \(proxyStatus)" }
        // "Unsupported proxy syntax in '…'" repeats the URL with its password.
        if text.hasPrefix("Unsupported proxy") { return "the proxy's URL is not understood" }
        switch code {
        case CURLE_COULDNT_RESOLVE_HOST: return "the host's name cannot be resolved"
        case CURLE_COULDNT_RESOLVE_PROXY: return "the proxy's name cannot be resolved"
        case CURLE_COULDNT_CONNECT where number != 0: return errorText(number)
        default: return text.isEmpty ? String(cString: ccurl_easy_strerror(code)) : text
        }
    }

    private var isProxyStatus: Bool { proxyStatus != 0 && !(200...299 ~= proxyStatus) }

    private var kind: TransportError.Kind {
        if isProxyStatus {
            return [401, 403, 407].contains(proxyStatus) ? .verification : .cannotConnect
        }
        switch code {
        case CURLE_PEER_FAILED_VERIFICATION, CURLE_SSL_ISSUER_ERROR,
            CURLE_SSL_PINNEDPUBKEYNOTMATCH, CURLE_SSL_INVALIDCERTSTATUS, CURLE_SSL_CLIENTCERT:
            return .verification
        case CURLE_SSL_CERTPROBLEM, CURLE_SSL_CACERT_BADFILE, CURLE_SSL_CRL_BADFILE:
            return .certificateFile
        case CURLE_SSL_CIPHER, CURLE_SSL_ENGINE_NOTFOUND, CURLE_SSL_ENGINE_SETFAILED,
            CURLE_SETOPT_OPTION_SYNTAX, CURLE_URL_MALFORMAT, CURLE_INTERFACE_FAILED,
            CURLE_UNSUPPORTED_PROTOCOL:
            return .configuration
        case CURLE_PROXY:
            let refused = [CURLPX_USER_REJECTED, CURLPX_NO_AUTH].map { Int($0.rawValue) }
            return refused.contains(proxyCode) ? .verification : .cannotConnect
        case CURLE_OPERATION_TIMEDOUT: return .timeout
        default:
            return text.hasPrefix("Unsupported proxy") ? .configuration : .cannotConnect
        }
    }
}
