import CCurl

/// What libcurl allocates for a connection, or for one request after the other.
struct CurlHandle: ~Copyable {
    let easy: UnsafeMutableRawPointer
    /// Has the connections.
    private(set) var multi: UnsafeMutableRawPointer
    /// What the library says of an error.
    private let text: UnsafeMutablePointer<CChar>
    private var lists: [UnsafeMutablePointer<curl_slist>] = []
    private var isStarted = false

    init() throws(TransportError) {
        guard let easy = ccurl_easy_init() else { throw Self.noMemory }
        guard let multi = ccurl_multi_init() else {
            ccurl_easy_cleanup(easy)
            throw Self.noMemory
        }
        self.easy = easy
        self.multi = multi
        text = .allocate(capacity: Int(CURL_ERROR_SIZE))
        text.initialize(repeating: 0, count: Int(CURL_ERROR_SIZE))
        ccurl_set_error_buffer(easy, text)
    }

    /// Ends the transfer, and forgets what it was told; connections and cookies stay.
    mutating func reset() {
        if isStarted { ccurl_multi_remove_handle(multi, easy) }
        isStarted = false
        ccurl_easy_reset(easy)
        for list in lists { ccurl_slist_free_all(list) }
        lists = []
        text.pointee = 0
        ccurl_set_error_buffer(easy, text)
    }

    /// Closes all connections. Behind `reset`.
    mutating func disconnect() throws(TransportError) {
        precondition(!isStarted)
        guard let other = ccurl_multi_init() else { throw Self.noMemory }
        ccurl_multi_cleanup(multi)
        multi = other
    }

    deinit {
        if isStarted { ccurl_multi_remove_handle(multi, easy) }
        ccurl_easy_cleanup(easy)
        ccurl_multi_cleanup(multi)
        for list in lists { ccurl_slist_free_all(list) }
        text.deallocate()
    }

    private static var noMemory: TransportError {
        TransportError(.noLibrary, "libcurl has no memory")
    }

    /// What the library said last, or nothing.
    var errorText: String { String(cString: text) }

    func set(_ option: CURLoption, _ value: Int) -> CURLcode {
        ccurl_set_long(easy, option, value)
    }

    func set(_ option: CURLoption, _ value: String?) -> CURLcode {
        guard let value else { return ccurl_set_text(easy, option, nil) }
        return ccurl_set_text(easy, option, value)
    }

    mutating func set(_ option: CURLoption, _ values: [String]) -> CURLcode {
        var list: UnsafeMutablePointer<curl_slist>?
        for value in values {
            list = ccurl_slist_append(list, value)
            if list == nil { return CURLE_OUT_OF_MEMORY }
        }
        if let list { lists.append(list) }
        return ccurl_set_list(easy, option, list)
    }

    /// Hands the transfer to the part that drives it.
    mutating func start() throws(TransportError) {
        guard ccurl_multi_add_handle(multi, easy) == CURLM_OK else { throw Self.noMemory }
        isStarted = true
    }
}
