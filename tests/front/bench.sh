# `./quire bench`: what it prints, and that a few measures cost no more than they may.
. tests/front/tap.sh

[ "$KERNEL" = run ] || { echo "1..0 # SKIP Linux's own costs are not ours"; exit 0; }

ok "a few measures cost no more than bench/bounds.tsv says" \
    ./quire bench --check bench/bounds.tsv --tsv "$tmp/one.tsv" --svg "$tmp/one.svg"
lines=$(($(grep -vc '^#' bench/bounds.tsv) + 1))
is "$(awk -F '\t' '!/^#/ && NF == 8' "$tmp/one.tsv" | wc -l)" "$lines" "the TSV has a line for each, and a head"
is "$(grep -c 'fill="#1f6fb4"' "$tmp/one.svg")" "$lines" "the chart a bar for each, and a legend"
like "$(tail -n1 "$tmp/one.svg")" "</svg>" "and its end"

out=$(./quire bench --vs "$tmp/one.tsv" null_getppid open_close 2>/dev/null)
like "$out" "*geometric mean of 2: one takes 1.00 times as much*" "a second run counts the same instructions"

printf 'null_getppid\t10\n' >"$tmp/bounds"
status=0
out=$(./quire bench --check "$tmp/bounds" 2>/dev/null) || status=$?
is "$status" 1 "a bound that is exceeded: status 1"
like "$out" "*quire: null_getppid takes * instructions, more than 10*" "and a line that says so"

status=0
out=$(./quire bench no_such_measure 2>&1) || status=$?
is "$status" 2 "a name that no measure has: status 2"
like "$out" "*no measure begins with 'no_such_measure'*" "and a line that says so"
like "$(./quire bench --help)" "*--vs linux*" "--help"

ok "the programs of apps/ are measured" \
    ./quire bench apps --quick --sides quire --tsv "$tmp/apps.tsv" --svg "$tmp" address memo share checkpoint
is "$(awk -F '\t' 'NR > 1 && $3 !~ /^[0-9]+$/' "$tmp/apps.tsv")" "" "every row has its figure"
is "$(awk -F '\t' 'NR > 1 { print $1 }' "$tmp/apps.tsv" | uniq | tr '\n' ' ')" "address memo share checkpoint " "and every program rows"
like "$(tail -n1 "$tmp/apps-memo.svg")" "</svg>" "and a chart"

./quire run --icount --mem 512M --add build/apps/gc:/bin/gc --add apps/gc/scm/stops.scm:/root/stops.scm -- \
    gc --stats /root/stops.scm >"$tmp/stops"
ok "the concurrent collector stops nobody for 500,000 instructions on a heap of 256 MiB" \
    awk '$2 == "flip" { n = $3 } $2 == "any" { stop = $NF } END { exit !(n >= 1 && stop > 0 && stop < 500000) }' "$tmp/stops"
finish
