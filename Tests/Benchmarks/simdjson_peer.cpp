// simdjson's DOM parser over the lines of a file, or over the whole of it with parse_many.
// Prints one JSON object in the form that bench-json prints.
#include <chrono>
#include <cstdio>
#include <cstring>
#include <simdjson.h>

using namespace simdjson;

static double seconds_since(std::chrono::steady_clock::time_point start) {
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

static error_code parse_lines(const padded_string &text, size_t &lines) {
    dom::parser parser;
    const char *position = text.data();
    const char *end = position + text.size();
    while (position < end) {
        auto newline = static_cast<const char *>(memchr(position, '\n', end - position));
        const char *stop = newline ? newline : end;
        // Every line has readable bytes after it, so no line needs a padded copy.
        const bool copy = false;
        if (auto error = parser.parse(position, stop - position, copy).error()) return error;
        lines++;
        position = stop + 1;
    }
    return SUCCESS;
}

static error_code parse_many(const padded_string &text, size_t &lines) {
    dom::parser parser;
    dom::document_stream documents;
    if (auto error = parser.parse_many(text).get(documents)) return error;
    for (auto document : documents) {
        if (auto error = document.error()) return error;
        lines++;
    }
    return SUCCESS;
}

int main(int argc, char **argv) {
    if (argc == 2 && strcmp(argv[1], "--version") == 0) {
        printf("simdjson %d.%d.%d (%s)\n", SIMDJSON_VERSION_MAJOR, SIMDJSON_VERSION_MINOR,
               SIMDJSON_VERSION_REVISION, get_active_implementation()->name().c_str());
        return 0;
    }
    if (argc != 3) {
        fprintf(stderr, "usage: simdjson_peer lines|many FILE\n");
        return 64;
    }
    auto parse = strcmp(argv[1], "many") == 0 ? parse_many : parse_lines;

    auto start = std::chrono::steady_clock::now();
    padded_string text;
    auto error = padded_string::load(argv[2]).get(text);
    double load = seconds_since(start);

    size_t lines = 0;
    start = std::chrono::steady_clock::now();
    if (!error) error = parse(text, lines);
    double validate = seconds_since(start);
    if (error) {
        fprintf(stderr, "simdjson_peer: %s: %s after %zu lines\n", argv[2], error_message(error),
                lines);
        return 65;
    }
    printf("{\"bytes\":%zu,\"lines\":%zu,\"load_seconds\":%.6f,\"validate_seconds\":%.6f}\n",
           text.size(), lines, load, validate);
    return 0;
}
