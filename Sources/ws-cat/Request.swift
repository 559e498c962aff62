import StreamClient
import StreamCodec
import StreamTool

/// What a client asks for, and where.
struct Request {
    private let settings: CatOptions
    /// Where the command line points to; nil for a server.
    private let start: ClientURL?
    /// Where the connection goes, behind redirects.
    private(set) var url: ClientURL?
    private(set) var handshake: ClientHandshake?
    private var redirects = 0

    private static let maxRedirects = 10

    init(_ settings: CatOptions, url: ClientURL?) throws {
        self.settings = settings
        start = url
        if url != nil { try begin() }
    }

    /// For a new connection: secrets are read anew, and what was redirected is asked again.
    /// `place`: what the peer goes on behind, for --resume-param.
    mutating func begin(behind place: String? = nil) throws {
        guard let start else { return }
        redirects = 0
        var (url, fields) = try settings.request.resolved(for: start)
        if let place, let name = settings.resumeParameter { url.setQuery(name: name, value: place) }
        self.url = url
        handshake = try make(url, fields)
    }

    private func make(
        _ url: ClientURL, _ fields: [(name: String, value: String)]
    ) throws -> ClientHandshake {
        var fields = fields
        if let origin = settings.origins.first { fields.append(("Origin", origin)) }
        do throws(HandshakeError) {
            return try ClientHandshake(
                url: url, fields: fields, subprotocols: settings.subprotocols,
                compress: settings.offer, userAgent: "streamutils/\(suiteVersion)")
        } catch {
            throw UsageError(error.reason)
        }
    }

    /// Follows a redirect.
    mutating func follow(_ location: String?) throws(Ending) {
        guard let location, let old = url, let start else {
            throw .handshake("the redirect has no Location")
        }
        redirects += 1
        if redirects > Self.maxRedirects {
            throw .handshake("more than \(Self.maxRedirects) redirects")
        }
        do {
            let next = try old.resolving(location)
            if old.isSecure && !next.isSecure {
                throw Ending.handshake("the redirect leads from TLS to plain text")
            }
            handshake = try make(next, try settings.request.redirected(to: next, from: start))
            url = next
        } catch let ending as Ending {
            throw ending
        } catch {
            throw .handshake("the redirect cannot be followed: \(error)")
        }
    }
}

extension CatOptions {
    /// What is offered of permessage-deflate, or accepted.
    var offer: (windowBits: Int, noContextTakeover: Bool)? {
        compression == .off ? nil : (windowBits, noContextTakeover)
    }
}
