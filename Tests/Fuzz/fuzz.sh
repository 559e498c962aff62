#!/usr/bin/env bash
# Runs one fuzz target: fuzz.sh TARGET DIRECTORY SECONDS. Its corpus grows in the directory.
set -euo pipefail
target=$1 directory=$(cd "$2" && pwd) seconds=$3
corpus=$directory/corpus/$target
found=$directory/found/$target

# Repository seeds join the corpus again each time: they are few, and they change.
python3 "$(dirname "$0")/seeds.py" "$target" "$corpus"
mkdir -p "$found"
rm -f "$found"/*

# Swift's own crash reports would stop at AddressSanitizer and hide libFuzzer's.
if ! SWIFT_BACKTRACE=enable=no "$directory/release/$target" -max_total_time="$seconds" \
    -max_len=4096 -timeout=10 -rss_limit_mb=2048 -print_final_stats=1 -verbosity=0 \
    -artifact_prefix="$found/" "$corpus"; then
    for reproducer in "$found"/*; do
        echo "$target: found a defect; reproduce it with" >&2
        echo "    SWIFT_BACKTRACE=enable=no $directory/release/$target $reproducer" >&2
    done
    exit 1
fi
echo "$target: nothing found in $seconds seconds"
