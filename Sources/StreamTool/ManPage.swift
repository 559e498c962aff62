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
            .Os
            .Sh NAME
            .Nm \(name)
            .Nd \(summary)
            .Sh SYNOPSIS
            .Nm

            """
        page += usage + ".Sh DESCRIPTION\n"
        page = page.replacing("$Mdocdate$", with: manualDate)
        page += manual.description + "\n.Sh OPTIONS\n"
        for group in shownGroups {
            page += ".Ss \(group.title)\n.Bl -tag -width Ds\n"
            for row in group.rows { page += ".It \(row.item)\n\(sentences(row.text))" }
            page += ".El\n"
        }
        if !manual.more.isEmpty { page += manual.more + "\n" }
        page += metricsSection + exitStatus + "\n.Sh EXAMPLES\n"
        for example in manual.examples {
            page += sentences(example.title) + ".Bd -literal -offset indent\n"
            page += literal("$ " + example.command + "\n" + example.output) + ".Ed\n.Pp\n"
        }
        page = String(page.dropLast(".Pp\n".count))
        return wrapped(page + ".Sh SEE ALSO\n" + seeAlso)
    }

    /// The synopsis, each bracket as an `.Op`: "-r | -d" are flags, other words arguments.
    private var usage: String {
        let groups = synopsis.dropFirst().dropLast().replacing("] [", with: "\n")
        return groups.split(separator: "\n").map { group in
            let words = group.split(separator: " ").map { word in
                word == "--"
                    ? "Fl \\- Ar"
                    : word.hasPrefix("-") ? "Fl \(word.dropFirst())" : String(word)
            }
            let text = words.joined(separator: " ")
            return text.hasPrefix("Fl") ? ".Op \(text)\n" : ".Op Ar \(text)\n"
        }.joined()
    }

    private var seeAlso: String {
        let pages = manual.seeAlso.map { page in
            let parts = page.split(separator: "(")
            return ".Xr \(parts[0]) \(parts[1].dropLast())"
        }
        return pages.joined(separator: " ,\n") + "\n"
    }

    /// What is counted, and how it is called in each place.
    private var metricsSection: String {
        var text = """
            .Sh METRICS
            .Fl Fl stats
            writes these as members of an object, and
            .Fl Fl metrics-file
            in the text format of Prometheus, labelled with
            .Va tool
            and
            .Va name ,
            the name of the file without its ending.
            A counter
            .Va NAME
            is called
            .Va streamutils_NAME_total
            there, anything else
            .Va streamutils_NAME .
            .Bl -tag -width Ds

            """
        for metric in Metric.table(metrics) + [.elapsed] {
            let label = metric.label.map { " Ns Brq Va \($0.name)" } ?? ""
            text += ".It Va \(metric.name)\(label) Pq \(metric.kind.rawValue)\n"
            text += sentences(metric.help)
            guard let label = metric.label else { continue }
            text += "\(label.name) is \(label.values.joined(separator: ", ")).\n"
        }
        text += ".El\n"
        if Metric.table(metrics).contains(where: { $0.kind == .histogram }) {
            text += """
                .Pp
                A histogram has
                .Va _bucket ,
                .Va _sum
                and
                .Va _count
                there, and
                .Va _sum , _count , _p50 , _p90
                and
                .Va _p99
                with
                .Fl Fl stats ,
                in seconds, quantiles right within 6 %.

                """
        }
        return text
    }

    private var exitStatus: String {
        let common = [
            0: "Done.",
            1: "Done, but some input was rejected.",
            64: "The command line cannot be understood.",
            65: "Bad input.",
            66: "An input cannot be opened.",
            71: "The operating system refused something.",
            73: "An output file cannot be created.",
            74: "Reading or writing failed.",
        ]
        let own = common.merging(manual.statuses) { $1 }.sorted { $0.key < $1.key }
        var items = own.map { ".It \($0.key)\n\($0.value)\n" }.joined()
        items += ".It 129 , 130 , 143\n"
        items += "Ended by SIGHUP, SIGINT or SIGTERM, after what was accepted had been written.\n"
        return ".Sh EXIT STATUS\n.Bl -tag -width Ds -compact\n\(items).El"
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

/// Text lines broken at 78 columns; macros and literal text stay as they are.
private func wrapped(_ page: String) -> String {
    var isLiteral = false
    var lines: [String] = []
    for line in page.split(separator: "\n", omittingEmptySubsequences: false) {
        if line.hasPrefix(".Bd") { isLiteral = true }
        if line.hasPrefix(".Ed") { isLiteral = false }
        if isLiteral || line.hasPrefix(".") || line.utf8.count <= 78 {
            lines.append(String(line))
        } else {
            lines += wrap(String(line), width: 78).map { protect($0) }
        }
    }
    return lines.joined(separator: "\n")
}
