import StreamTool

/// What a user may say of the request, besides the URL.
package struct RequestOptions {
    /// `Name: value`, or `@FILE` with such lines.
    package var headers: [String] = []
    /// `NAME`, `NAME:PASSWORD` or `NAME:@FILE`
    package var user: String?
    package var netrc = false
    package var netrcFile: String?
    package var bearerFile: String?
    /// `name=value`, or `@FILE` with that.
    package var cookies: [String] = []
    /// `NAME=VALUE` or `NAME=@FILE`
    package var query: [String] = []

    /// What was read of them.
    package let files = SecretFiles()

    /// Nothing was asked for.
    package var isEmpty: Bool {
        headers.isEmpty && user == nil && !netrc && netrcFile == nil && bearerFile == nil
            && cookies.isEmpty && query.isEmpty
    }

    package init() {}
}

/// Settings of a tool that sends a request.
package protocol RequestSettings {
    var request: RequestOptions { get set }
}

extension Option where Settings: RequestSettings {
    /// The rows that all tools share that send a request.
    package static var requesting: OptionGroup<Settings> {
        OptionGroup("Request", fields + credentials)
    }

    private static var fields: [Option<Settings>] {
        [
            .strings(
                "H", "header", "'NAME: VALUE'", { $0.request.headers.append($1) },
                "Send a header field, or with @FILE those in a file, one on a line. May be"
                    + " repeated."),
            .strings(
                nil, "cookie", "NAME=VALUE", { $0.request.cookies.append($1) },
                "Send a cookie, or with @FILE what a file has. May be repeated."),
            .strings(
                nil, "query", "NAME=VALUE", { $0.request.query.append($1) },
                "Add to the URL's query, encoded; NAME=@FILE takes the value from a file. May be"
                    + " repeated."),
        ]
    }

    private static var credentials: [Option<Settings>] {
        [
            .string(
                nil, "user", "NAME[:PASSWORD]", { $0.request.user = $1 },
                "Authenticate by name and password. With NAME:@FILE the password is in a file,"
                    + " with NAME alone in .netrc (--netrc) or the environment variable"
                    + " STREAMUTILS_PASSWORD; everybody on the machine can read a command line."),
            .set(
                nil, "netrc", { $0.request.netrc = true },
                "Take name and password from $NETRC or ~/.netrc."),
            .file(
                nil, "netrc-file", { $0.request.netrcFile = $1 },
                "Take name and password from FILE, which is like .netrc."),
            .file(
                nil, "bearer-file", { $0.request.bearerFile = $1 },
                "Authenticate with the bearer token in FILE, which is read again for each"
                    + " connection, unless it is a pipe."),
        ]
    }
}
