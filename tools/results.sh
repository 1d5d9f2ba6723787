# SPDX-License-Identifier: MIT
#
# Sourced by the scripts that run tests. A result is one line, the same that the test programs print:
#
#     pass     0.012 s  test_job: a second join is refused
#
# with pass, FAIL or skip, and indented lines below it that explain.

# Seconds on a clock that only goes forward.
now()
{
    cut -d ' ' -f 1 /proc/uptime
}

# result WORD START NAME: a line for what began at START and ends now.
result()
{
    awk -v word="$1" -v start="$2" -v end="$(now)" -v name="$3" \
        'BEGIN { printf "%s %9.3f s  %s\n", word, end - start, name }'
}

# count_results FILE...: the summary of all result lines.
count_results()
{
    awk '/^(pass|FAIL|skip) +[0-9.]+ s  / { n[$1]++ }
         END { printf "%d passed, %d failed, %d skipped\n", n["pass"], n["FAIL"], n["skip"] }' "$@"
}

# has_failures FILE...
has_failures()
{
    grep -qE '^FAIL +[0-9.]+ s  ' "$@"
}

# indent < TEXT
indent()
{
    sed 's/^/    | /'
}
