extension Option {
    fileprivate var takesArgument: Bool {
        if case .required = argument { return true }
        return false
    }

    fileprivate var choices: [String] {
        if case .choices(let words) = completion { return words }
        return []
    }

    /// The first sentence, without its full stop.
    fileprivate var firstSentence: String {
        let lines = text.replacing(". ", with: "\n").split(separator: "\n" as Character)
        let sentence = lines.first.map(String.init) ?? text
        return sentence.hasSuffix(".") ? String(sentence.dropLast()) : sentence
    }
}

extension Command {
    private var rows: [Option<Settings>] { shownGroups.flatMap(\.rows) }

    var bashCompletion: String {
        let function = "_" + name.replacing("-", with: "_")
        let words = rows.map { row in
            "--\(row.long)" + (row.takesArgument ? "=" : "")
        }
        var cases = ""
        for row in rows where !row.choices.isEmpty {
            cases += "        --\(row.long))\n            COMPREPLY=($(compgen -W "
            cases += "'\(row.choices.joined(separator: " "))' -- \"$word\"))\n"
            cases += "            return\n            ;;\n"
        }
        let plain = rows.filter { $0.takesArgument && $0.completion == .nothing }
        cases += "        \(plain.map { "--\($0.long)" }.joined(separator: " | ")))\n"
        cases += "            return\n            ;;\n"
        return """
            # Completion for \(name). Printed by \(name) --print-bash-completion.
            \(function)() {
                local word=${COMP_WORDS[COMP_CWORD]}
                local before=${COMP_WORDS[COMP_CWORD - 1]}
                if [[ $word == "=" ]]; then
                    word=
                elif [[ $before == "=" ]]; then
                    before=${COMP_WORDS[COMP_CWORD - 2]}
                fi
                case $before in
            \(cases)    esac
                if [[ $word == -* ]]; then
                    COMPREPLY=($(compgen -W '\(words.joined(separator: " "))' -- "$word"))
                    [[ ${COMPREPLY[0]} == *= ]] && compopt -o nospace
                else
                    COMPREPLY=($(compgen -f -- "$word"))
                    compopt -o filenames
                fi
            }
            complete -F \(function) \(name)

            """
    }

    var zshCompletion: String {
        var lines: [String] = []
        for row in rows {
            let text = row.firstSentence.replacing("'", with: "'\\''").replacing("[", with: "\\[")
                .replacing("]", with: "\\]").replacing(":", with: "\\:")
            var value = ""
            switch row.argument {
            case .none: break
            case .required(let name): value = ":\(zshText(name)):"
            case .optional(let name): value = "::\(zshText(name)):"
            }
            if !value.isEmpty {
                value += row.completion == .file ? "_files" : ""
                value += row.choices.isEmpty ? "" : "(\(row.choices.joined(separator: " ")))"
            }
            let long = "--\(row.long)" + (value.isEmpty ? "" : value.hasPrefix("::") ? "=-" : "=")
            if let short = row.short {
                let dash = "-\(short)" + (value.isEmpty ? "" : value.hasPrefix("::") ? "-" : "+")
                lines.append("'*'{\(dash),\(long)}'[\(text)]\(value)'")
            } else {
                lines.append("'*\(long)[\(text)]\(value)'")
            }
        }
        return """
            #compdef \(name)
            # Completion for \(name). Printed by \(name) --print-zsh-completion.
            _arguments -s -S \\
                \(lines.joined(separator: " \\\n    ")) \\
                '*:file:_files'

            """
    }

    /// What _arguments shows of a value: a colon would end it, and a quote the specification.
    private func zshText(_ name: String) -> String {
        name.replacing("'", with: "").replacing(":", with: "\\:")
    }

    var fishCompletion: String {
        var text = "# Completion for \(name). Printed by \(name) --print-fish-completion.\n"
        for row in rows {
            text += "complete -c \(name)"
            if let short = row.short { text += " -s \(short)" }
            text += " -l \(row.long)"
            if row.takesArgument { text += row.completion == .file ? " -r -F" : " -x" }
            if !row.choices.isEmpty { text += " -a '\(row.choices.joined(separator: " "))'" }
            let description = row.firstSentence.replacing("\\", with: "\\\\")
                .replacing("'", with: "\\'")
            text += " -d '\(description)'\n"
        }
        return text
    }
}
