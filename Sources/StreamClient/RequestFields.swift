import StreamCodec
import StreamTool

extension RequestOptions {
    /// A header field.
    package typealias Field = (name: String, value: String)

    /// The URL with the query, and the header fields. Files are read now, so that a connection
    /// that is made again has a token that is still valid.
    ///
    /// Authorization is Bearer from --bearer-file, or Basic (RFC 7617) from --user, the URL's
    /// userinfo or .netrc. Throws UsageError for two of them, or what cannot be understood, and
    /// Failure for a file that cannot be read; neither repeats a secret.
    package func resolved(for url: ClientURL) throws -> (url: ClientURL, fields: [Field]) {
        var full = url
        for item in query {
            let (name, value) = try pair(item, "--query", "NAME=VALUE")
            full.addQuery(name: name, value: try secret(value))
        }
        return (full, try fields(for: url))
    }

    /// The header fields for the URL that a redirect led to, which gets no query of ours. To
    /// another origin none go: any of them may be a secret that was meant for the first.
    package func redirected(to url: ClientURL, from original: ClientURL) throws -> [Field] {
        url.isSameOrigin(as: original) ? try fields(for: original) : []
    }

    /// What may go to a server that the user did not name these for: what .netrc has for it.
    package var forAnotherOrigin: RequestOptions {
        var own = RequestOptions()
        own.netrc = netrc
        own.netrcFile = netrcFile
        return own
    }

    private func fields(for url: ClientURL) throws -> [Field] {
        var fields = try headerFields()
        if let value = try authorization(for: url) {
            guard !fields.contains(where: { $0.name.lowercased() == "authorization" }) else {
                throw UsageError("a header field Authorization, and credentials besides")
            }
            fields.append(("Authorization", value))
        }
        if !cookies.isEmpty {
            // RFC 6265, section 5.4: one field.
            guard !fields.contains(where: { $0.name.lowercased() == "cookie" }) else {
                throw UsageError("a header field Cookie, and --cookie besides")
            }
            let values = try cookies.map { try secret($0) }
            fields.append(("Cookie", values.joined(separator: "; ")))
        }
        return fields
    }

    private func headerFields() throws -> [Field] {
        try headers.flatMap { header -> [Field] in
            guard header.utf8.first == UInt8(ascii: "@") else {
                guard let field = Self.field(header) else {
                    throw UsageError("--header: expected 'NAME: VALUE' or @FILE")
                }
                return [field]
            }
            let path = String(header.dropFirst())
            return try files.lines(path).enumerated().compactMap { index, line in
                if line.isEmpty || line.utf8.first == UInt8(ascii: "#") { return nil }
                guard let field = Self.field(line) else {
                    throw Failure(
                        .badConfiguration, "\(path): line \(index + 1) is not 'NAME: VALUE'")
                }
                return field
            }
        }
    }

    /// Nil when there is no colon behind a token, or a control character (RFC 9110, section 5.5).
    private static func field(_ line: String) -> Field? {
        let bytes = Array(line.utf8)
        guard let colon = bytes.firstIndex(of: UInt8(ascii: ":")), colon > 0,
            bytes[..<colon].allSatisfy(\.isTokenCharacter), !bytes.contains(where: \.isControl)
        else { return nil }
        return (
            String(decoding: bytes[..<colon], as: UTF8.self),
            String(decoding: bytes[(colon + 1)...].trimmed, as: UTF8.self)
        )
    }

    /// The value, or what the file has that it names as `@FILE`.
    private func secret(_ value: String) throws -> String {
        if value.utf8.first == UInt8(ascii: "@") {
            let path = String(value.dropFirst())
            let line = try files.line(path)
            guard !line.isEmpty else { throw Failure(.badConfiguration, "\(path): empty") }
            return line
        }
        guard value.utf8.allSatisfy({ $0 >= 32 || $0 == 9 }) else {
            throw UsageError("a value of --cookie, --query or --user has a control character")
        }
        return value
    }

    /// The value is not repeated: it may be a secret.
    private func pair(
        _ text: String, _ option: String, _ form: String
    ) throws -> (String, String) {
        let bytes = Array(text.utf8)
        guard let equals = bytes.firstIndex(of: UInt8(ascii: "=")), equals > 0 else {
            throw UsageError("\(option): expected \(form)")
        }
        return (
            String(decoding: bytes[..<equals], as: UTF8.self),
            String(decoding: bytes[(equals + 1)...], as: UTF8.self)
        )
    }
}

extension RequestOptions {
    private var usesNetrc: Bool { netrc || netrcFile != nil }

    /// The value of Authorization, or nil when there are no credentials.
    private func authorization(for url: ClientURL) throws -> String? {
        let hasBearer = bearerFile != nil
        let hasUserinfo = url.user != nil
        if (hasBearer && user != nil) || (hasBearer && hasUserinfo) || (user != nil && hasUserinfo)
            || (hasBearer && usesNetrc)
        {
            throw UsageError(
                "only one of --bearer-file, --user (with --netrc or without) and a name in the"
                    + " URL can be used")
        }
        if let bearerFile {
            let token = try files.line(bearerFile)
            guard !token.isEmpty else { throw Failure(.badConfiguration, "\(bearerFile): empty") }
            return "Bearer " + token
        }
        guard let (name, password) = try credentials(for: url) else { return nil }
        // RFC 7617, section 2: the first colon ends the name.
        guard !name.utf8.contains(UInt8(ascii: ":")) else {
            throw UsageError("the user's name has a colon in it")
        }
        let text = Array("\(name):\(password)".utf8)
        let encoded = text.withUnsafeBufferPointer { Base64.encode($0) }
        return "Basic " + String(decoding: encoded, as: UTF8.self)
    }

    private func credentials(for url: ClientURL) throws -> (name: String, password: String)? {
        if let user {
            let bytes = Array(user.utf8)
            if let colon = bytes.firstIndex(of: UInt8(ascii: ":")) {
                let password = String(decoding: bytes[(colon + 1)...], as: UTF8.self)
                return (String(decoding: bytes[..<colon], as: UTF8.self), try secret(password))
            }
            return (user, try password(of: user, at: url))
        }
        if let name = url.user {
            if let password = url.password { return (name, password) }
            return (name, usesNetrc ? try password(of: name, at: url) : "")
        }
        guard usesNetrc else { return nil }
        guard let entry = try Netrc(files, file: netrcFile).entry(for: url.host, login: nil) else {
            return nil
        }
        return (entry.login ?? "", entry.password ?? "")
    }

    /// What .netrc has for the user, or the environment.
    private func password(of name: String, at url: ClientURL) throws -> String {
        if usesNetrc,
            let found = try Netrc(files, file: netrcFile).entry(for: url.host, login: name)?
                .password
        {
            return found
        }
        if let password = Proxy.variable("STREAMUTILS_PASSWORD") { return password }
        throw UsageError(
            "no password for '\(name)': use --user NAME:@FILE, --netrc or the environment variable"
                + " STREAMUTILS_PASSWORD")
    }
}
