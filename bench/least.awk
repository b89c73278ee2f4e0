# The least of each measure in several of vmbench's tables: awk -f least.awk TABLE...

BEGIN { FS = OFS = "\t" }
!($1 in value) { order[++count] = $1; value[$1] = $2; rest[$1] = $3 "\t" $4 "\t" $5; next }
$2 ~ /^[0-9.]+$/ && (value[$1] !~ /^[0-9.]+$/ || $2 + 0 < value[$1] + 0) { value[$1] = $2 }
END { for (i = 1; i <= count; i++) print order[i], value[order[i]], rest[order[i]] }
