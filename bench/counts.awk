# Puts the plugin's counts in the place of the clock's: awk -f counts.awk MARKS TABLE
# MARKS is what counter.c logs, TABLE what vmbench printed in the same machine; the table goes to standard output.
# A measure's first stretch warms up; the median of the others counts.

FILENAME == ARGV[1] && $1 == 3 { measures++; stretches[measures] = 0; next }
FILENAME == ARGV[1] && $1 == 1 { began = $2; next }
FILENAME == ARGV[1] && $1 == 2 { count[measures, stretches[measures]++] = $2 - began; next }
FILENAME == ARGV[1] { next }

BEGIN { OFS = "\t" }
/^#/ { print; next }
{ split($0, field, "\t"); line++ }
field[2] ~ /^[0-9.-]+$/ && field[4] > 0 && stretches[line] > 1 { field[2] = sprintf("%.1f", middle(line) / field[4]) }
{ print field[1], field[2], field[3], field[4], field[5] }

function middle(n,    sorted, many, i, k, value) {
    for (i = 1; i < stretches[n]; i++) {
        value = count[n, i]
        for (k = many++; k > 0 && sorted[k - 1] > value; k--)
            sorted[k] = sorted[k - 1]
        sorted[k] = value
    }
    return sorted[int(many / 2)]
}
