import CCurl
import CLinux
import Glibc
import StreamCodec
import StreamTool

/// A connection of libcurl's: names, happy eyeballs, proxies, TLS. It does nothing but connect
/// (CURLOPT_CONNECT_ONLY); what goes through it is ours.
struct CurlChannel: ~Copyable {
    /// What one call to send or to receive came to.
    enum Outcome {
        case bytes(Int)
        case wouldBlock
        case end
        case failed(String)
    }

    /// When the library names neither a timer nor a descriptor: 100 ms, as curl_multi_fdset(3)
    /// asks for.
    private static let pause: UInt64 = 100_000_000

    private let handle: CurlHandle
    private let place: String

    init(
        _ options: ConnectOptions, to url: ClientURL, proxy: Proxy?, place: String
    ) throws(TransportError) {
        if let problem = ccurl_load() {
            throw TransportError(
                .noLibrary,
                "cannot connect to \(place): \(String(cString: problem)), and TLS, names and"
                    + " proxies need it")
        }
        handle = try Self.start(
            CurlSetup(options: options, url: url, proxy: proxy, place: place))
        self.place = place
    }

    private static func start(_ setup: CurlSetup) throws(TransportError) -> CurlHandle {
        var handle = try CurlHandle()
        try setup.apply(to: &handle)
        try handle.start()
        return handle
    }

    /// Goes on connecting.
    func proceed() throws(TransportError) -> ConnectStep {
        ccurl_multi_perform(handle.multi)
        var code = CURLE_OK
        guard ccurl_multi_result(handle.multi, &code) != 0 else { return waiting }
        guard code == CURLE_OK else { throw CurlError(handle, code).error(at: place) }
        let descriptor = ccurl_active_socket(handle.easy)
        if descriptor < 0 { throw TransportError(.lost, "connection to \(place) lost") }
        return .connected(descriptor)
    }

    /// Takes at most `size` bytes to `start`.
    func receive(_ start: UnsafeMutablePointer<UInt8>, _ size: Int) -> Outcome {
        var count = 0
        let code = ccurl_easy_recv(handle.easy, start, size, &count)
        if code == CURLE_OK { return count == 0 ? .end : .bytes(count) }
        return code == CURLE_AGAIN ? .wouldBlock : .failed(CurlError(handle, code).reason)
    }

    /// Sends some of `size` bytes. After `wouldBlock` the same bytes must come again.
    func send(_ start: UnsafePointer<UInt8>?, _ size: Int) -> Outcome {
        var count = 0
        let code = ccurl_easy_send(handle.easy, start, size, &count)
        if code == CURLE_OK { return .bytes(count) }
        return code == CURLE_AGAIN ? .wouldBlock : .failed(CurlError(handle, code).reason)
    }

    /// What the library waits for.
    private var waiting: ConnectStep {
        let descriptors = [pollfd](unsafeUninitializedCapacity: 16) { buffer, count in
            count = ccurl_multi_descriptors(handle.multi, buffer.baseAddress, buffer.count)
        }
        let now = monotonicNanoseconds()
        let milliseconds = ccurl_multi_timeout(handle.multi)
        if milliseconds < 0 {
            return .waiting(for: descriptors, until: descriptors.isEmpty ? now + Self.pause : nil)
        }
        let timer = now + UInt64(milliseconds) * 1_000_000
        return .waiting(
            for: descriptors, until: descriptors.isEmpty ? min(timer, now + Self.pause) : timer)
    }
}
