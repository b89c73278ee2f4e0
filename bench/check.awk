# Are costs within their bounds? awk -f check.awk BOUNDS TABLE. BOUNDS: measure, tab, most instructions; TABLE is
# vmbench's. Says which are not; status 1 when there are any.

BEGIN { FS = "\t" }
/^#/ { next }
FILENAME == ARGV[1] { bound[$1] = $2; next }
!($1 in bound) { next }
{ seen[$1] = 1 }
$2 !~ /^[0-9.]+$/ { print "quire: " $1 ": " $2; bad = 1; next }
$2 > bound[$1] + 0 { print "quire: " $1 " takes " $2 " instructions, more than " bound[$1]; bad = 1 }
END { exit bad }
