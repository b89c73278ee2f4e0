#!/bin/sh
# Prints the applets of a busybox binary for another machine, one a line: it cannot be asked (`busybox --list`), so its
# table
# of names is read, the NUL-terminated strings in ascending order that begin with "[[" and end with an empty one.

set -eu
[ $# -eq 1 ] || { echo "usage: applets.sh BUSYBOX" >&2; exit 2; }

tr '\0' '\n' <"$1" | LC_ALL=C awk '
    $0 == "[[" { n = 0; names[n++] = $0; in_table = 1; next }
    in_table && $0 ~ /^[a-z][a-z0-9_.-]*$/ && $0 > names[n - 1] { names[n++] = $0; next }
    in_table && $0 == "" && n > 100 { exit }
    { in_table = 0; n = 0 }
    END {
        if (n <= 100)
            exit 1
        print "["
        for (i = 0; i < n; i++)
            print names[i]
    }' || { echo "applets.sh: no table of applets in $1" >&2; exit 2; }
