# Wall time with several numbers of harts, and its ratio to another's:
#
#   awk -f plain.awk -v form=table|tsv|markdown -v dir=DIR -v theirs=NAME -v harts="1 2 4"
#
# DIR has quire-plainN.tsv and NAME-plainN.tsv, vmbench's tables. A ratio above 1: we
# are faster.

BEGIN {
    FS = "\t"
    many = split(harts, number, " ")
    for (h = 1; h <= many; h++) {
        read_table("quire", number[h])
        if (theirs != "")
            read_table(theirs, number[h])
    }
    if (form == "tsv")
        tsv()
    else if (form == "markdown")
        markdown()
    else
        table()
}

function read_table(side, n,    file)
{
    file = dir "/" side "-plain" n ".tsv"
    while ((getline <file) > 0) {
        if (side == "quire" && !($1 in per)) {
            order[++count] = $1
            per[$1] = $3
        }
        value[side, n, $1] = $2
    }
    close(file)
}

function is_number(text) { return text ~ /^[0-9.]+$/ && text > 0 }

function ratio(name, n,    mine, other)
{
    mine = value["quire", n, name]
    other = value[theirs, n, name]
    if (!is_number(mine) || !is_number(other))
        return "-"
    logs[n] += log(other / mine)
    pairs[n]++
    return sprintf("%.2f", other / mine)
}

function mean(n) { return pairs[n] ? sprintf("%.2f", exp(logs[n] / pairs[n])) : "-" }

function cell(text) { return is_number(text) ? sprintf("%.0f", text) : text }

function table(    h, i)
{
    printf "%-28s", "measure, wall nanoseconds"
    for (h = 1; h <= many; h++)
        printf theirs == "" ? " %12s" : " %12s %8s", number[h] (number[h] == 1 ? " hart" : " harts"), "ratio"
    print "  per"
    for (i = 1; i <= count; i++) {
        printf "%-28s", order[i]
        for (h = 1; h <= many; h++)
            printf theirs == "" ? " %12s" : " %12s %8s", cell(value["quire", number[h], order[i]]),
                ratio(order[i], number[h])
        print "  " per[order[i]]
    }
    if (theirs == "")
        return
    printf "%-28s", "geometric mean"
    for (h = 1; h <= many; h++)
        printf " %12s %8s", "", mean(number[h])
    print ""
}

function tsv(    h, i, n)
{
    printf "measure"
    for (h = 1; h <= many; h++)
        printf "\tquire_%d\t%s_%d\tratio_%d", number[h], theirs, number[h], number[h]
    print "\tper"
    for (i = 1; i <= count; i++) {
        printf "%s", order[i]
        for (h = 1; h <= many; h++) {
            n = number[h]
            printf "\t%s\t%s\t%s", cell(value["quire", n, order[i]]), cell(value[theirs, n, order[i]]),
                ratio(order[i], n)
        }
        print "\t" per[order[i]]
    }
}

# Ratios only.
function markdown(    h, i, line, rule)
{
    line = "| measure |"
    rule = "| --- |"
    for (h = 1; h <= many; h++) {
        line = line " " number[h] (number[h] == 1 ? " hart" : " harts") " |"
        rule = rule " ---: |"
    }
    print line "\n" rule
    for (i = 1; i <= count; i++) {
        line = "| `" order[i] "` |"
        for (h = 1; h <= many; h++)
            line = line " " ratio(order[i], number[h]) " |"
        print line
    }
    line = "| geometric mean |"
    for (h = 1; h <= many; h++)
        line = line " " mean(number[h]) " |"
    print line
}
