# Reads the output of test programs, each between "# program NAME" and "# exit NAME STATUS", and prints one line for
# each program, then
# what failed in it. The last line is "total PASSED FAILED SKIPPED".
#
# A program fails as a whole, beside its points, when it ended badly without saying so or did not say its plan. LABEL
# comes first on every line.

function finish(status,    note, i) {
    planned = plan >= 0 && plan == passed + failed + skipped
    if (status != "0" && failed == 0)
        problem[++problems] = status ~ /^[0-9]+$/ ? "ended with status " status : status
    else if (!planned && plan != "all skipped" && status == "0")
        problem[++problems] = "ended before all of its points were tested"
    for (i = 1; i <= problems; i++)
        failed += problem[i] !~ /^not ok/
    note = passed " passed" (failed ? ", " failed " failed" : "") (skipped ? ", " skipped " skipped" : "")
    printf "%-14s %-18s %s\n", label, name, note
    for (i = 1; i <= problems; i++)
        print "    " problem[i]
    total_passed += passed
    total_failed += failed
    total_skipped += skipped
    name = ""
}

function begin(new_name) {
    if (name != "")
        finish("did not end")
    name = new_name
    plan = -1
    passed = failed = skipped = problems = 0
    after_failure = 0
}

{ sub(/\r$/, "") }
/^# program / { begin($3); next }
/^# exit / && $3 == name { sub(/^# exit [^ ]+ /, ""); finish($0); next }
name == "" { next }
/^ok / { after_failure = 0; if ($0 ~ /# [Ss][Kk][Ii][Pp]/) skipped++; else passed++; next }
/^not ok / { failed++; problem[++problems] = $0; after_failure = 1; next }
/^1\.\.0/ { plan = "all skipped"; skipped++; next }
/^1\.\.[0-9]+/ { plan = substr($1, 4) + 0; next }
/^Bail out!/ { problem[++problems] = $0; next }
/^# / && after_failure { problem[problems] = problem[problems] "\n      " $0; next }

END {
    if (name != "")
        finish("did not end")
    print "total " total_passed + 0 " " total_failed + 0 " " total_skipped + 0
}
