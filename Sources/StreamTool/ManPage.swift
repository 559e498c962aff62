extension Option {
    /// `Fl z , Fl Fl gzip Ns Oo = Ns Ar LEVEL Oc`
    fileprivate var item: String {
        let dash = short.map { "Fl \($0) , " } ?? ""
        switch argument {
        case .none: return "\(dash)Fl Fl \(long)"
        case .required(let name): return "\(dash)Fl Fl \(long) Ns = Ns Ar \(name)"
        case .optional(let name): return "\(dash)Fl Fl \(long) Ns Oo = Ns Ar \(name) Oc"
        }
    }
}

extension Command {
    /// The page in mdoc(7).
    var manPage: String {
        var page = """
            .\\" Printed by \(name) --print-man; change its Options.swift or Manual.swift.
            .Dd $Mdocdate$
            .Dt \(name.uppercased()) 1
            .Os streamutils
            .Sh NAME
            .Nm \(name)
            .Nd \(summary)
            .Sh SYNOPSIS
            .Nm
            .Op Ar option ...
            .Op Ar operand ...
            .Sh DESCRIPTION

            """
        page = page.replacing("$Mdocdate$", with: manualDate)
        page += manual.description + "\n.Sh OPTIONS\n"
        for group in shownGroups {
            page += ".Ss \(group.title)\n.Bl -tag -width Ds\n"
            for row in group.rows { page += ".It \(row.item)\n\(sentences(row.text))" }
            page += ".El\n"
        }
        if !manual.more.isEmpty { page += manual.more + "\n" }
        page += exitStatus + "\n.Sh EXAMPLES\n"
        for example in manual.examples {
            page += sentences(example.title) + ".Bd -literal -offset indent\n"
            page += literal("$ " + example.command + "\n" + example.output) + ".Ed\n.Pp\n"
        }
        page = String(page.dropLast(".Pp\n".count))
        return page + ".Sh SEE ALSO\n" + seeAlso
    }

    private var seeAlso: String {
        let pages = manual.seeAlso.map { page in
            let parts = page.split(separator: "(")
            return ".Xr \(parts[0]) \(parts[1].dropLast())"
        }
        return pages.joined(separator: " ,\n") + "\n"
    }

    private var exitStatus: String {
        """
        .Sh EXIT STATUS
        .Bl -tag -width Ds -compact
        .It 0
        Done.
        .It 1
        Done, but some input was rejected.
        .It 64
        The command line cannot be understood.
        .It 65
        Bad input.
        .It 66
        An input cannot be opened.
        .It 71
        The operating system refused something.
        .It 73
        An output file cannot be created.
        .It 74
        Reading or writing failed.
        .It 76
        The stream did not keep to its protocol
        .Pq see Fl Fl require-end No and Fl Fl fail-on-error of Xr sse-decode 1 .
        .It 130 , 143
        Ended by SIGINT or SIGTERM, after what was accepted had been written.
        .El
        """
    }
}

/// The day of the pages, in the form that mdoc wants.
private let manualDate = "November 21, 2026"

/// Plain text for mdoc: escaped, and each sentence on a line of its own.
private func sentences(_ text: String) -> String {
    let escaped = text.replacing("\\", with: "\\e").replacing(". ", with: ".\n")
    return protect(escaped) + "\n"
}

private func literal(_ text: String) -> String {
    protect(text.replacing("\\", with: "\\e"))
}

/// A line that begins with '.' or ''' would be a macro.
private func protect(_ text: String) -> String {
    text.split(separator: "\n", omittingEmptySubsequences: false)
        .map { $0.hasPrefix(".") || $0.hasPrefix("'") ? "\\&" + $0 : String($0) }
        .joined(separator: "\n")
}
