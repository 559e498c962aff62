import StreamCodec
import StreamTool

/// What is asked of a server: RFC 9110, section 9.
package struct HTTPRequest: Sendable {
    package var url: ClientURL
    package var method: String
    /// Header fields, all but those that the transport makes itself (Host, Content-Length).
    package var fields: [(name: String, value: String)]
    package var body: [UInt8]?
    /// The server is one that the client's certificate was given for.
    package var showsCertificate = true

    package init(
        url: ClientURL, method: String = "GET", fields: [(name: String, value: String)] = [],
        body: [UInt8]? = nil
    ) {
        self.url = url
        self.method = method
        self.fields = fields
        self.body = body
    }
}
