import Testing

@testable import StreamTool

/// Sizes on the command line.
@Suite struct ValueTests {
    @Test(arguments: [
        ("0", 0), ("512", 512), ("64K", 65_536), ("1M", 1_048_576), ("2G", 2_147_483_648),
        ("1T", 1_099_511_627_776), ("64KiB", 65_536), ("5MiB", 5_242_880), ("1GiB", 1_073_741_824),
        ("64kB", 64_000), ("64KB", 64_000), ("5MB", 5_000_000), ("2GB", 2_000_000_000),
        ("3TB", 3_000_000_000_000), ("8388607T", 8_388_607 << 40),
    ]) func sizes(_ text: String, _ bytes: Int) throws {
        #expect(try Value.size(text) == bytes)
    }

    @Test(arguments: [
        "", "M", "MB", "k", "5k", "5kiB", "5B", "5mb", "5Mb", "5M B", "5 MB", "-5MB", "+5M", "1.5M",
        "5MBB", "5KI", "5Ki", "8388608T", "9999999TB", "٣M", "5EB",
    ]) func noSizes(_ text: String) {
        #expect(throws: UsageError.self) { try Value.size(text) }
    }
}
