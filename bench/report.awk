# Two tables of vmbench side by side: awk -f report.awk OURS THEIRS [NAME-OF-OURS=... NAME-OF-THEIRS=...]
# A row per measure in the order of the first table; the ratio is theirs to ours, so above 1 we are faster; last their geometric mean.
# Variables: ours, theirs (column heads), plain=1 for tabs instead of columns.

BEGIN {
    FS = "\t"
    if (ours == "") ours = "quire"
    if (theirs == "") theirs = "linux"
    row("measure", ours, theirs, theirs "/" ours, "per")
}

/^#/ || NF < 2 { next }

FILENAME == ARGV[1] { value[$1] = $2; per[$1] = $3; order[++count] = $1; next }

{ other[$1] = $2 }

END {
    for (i = 1; i <= count; i++) {
        name = order[i]
        a = value[name]
        b = name in other ? other[name] : "-"
        ratio = "-"
        if (is_number(a) && is_number(b) && a > 0 && b > 0) {
            sum += log(b / a)
            pairs++
            ratio = sprintf("%.2f", b / a)
        }
        row(name, is_number(a) ? sprintf("%.0f", a) : a, is_number(b) ? sprintf("%.0f", b) : b, ratio, per[name])
    }
    if (pairs)
        row("geometric mean of " pairs, "", "", sprintf("%.2f", exp(sum / pairs)), "")
}

function is_number(text) { return text ~ /^[0-9.]+$/ }

function row(name, a, b, ratio, unit)
{
    if (plain)
        print name "\t" a "\t" b "\t" ratio "\t" unit
    else
        printf "%-30s %14s %14s %12s  %s\n", name, a, b, ratio, unit
}
