# The result of a run of the benchmark, alone or beside another: a table, tab-separated values, or a chart.
#
#   awk -f report.awk -v form=table|tsv|markdown|svg -v ours=FILE [-v other=FILE -v theirs=NAME] [-v reach=FILE]
#
# The files are vmbench's tables (name, value, per, units, description), or what form=tsv gave, of which the second
# column is taken. The ratio is theirs to ours, so above 1 we are faster. `reach` has what each measure is meant to
# cost: a number, or FACTOR*MEASURE.

BEGIN {
    FS = "\t"
    HALO = " paint-order=\"stroke\" stroke=\"#ffffff\" stroke-width=\"3\""
    title = theirs == "linux" ? "Linux" : theirs
    while ((getline <ours) > 0)
        if ($0 !~ /^(#|measure\t)/) {
            order[++count] = $1
            value[$1] = $2
            per[$1] = $3
            what[$1] = $5
        }
    while (other != "" && (getline <other) > 0)
        their[$1] = $2
    while (reach != "" && (getline <reach) > 0)
        if ($0 !~ /^(#|measure\t)/)
            goal[$1] = $2
    for (i = 1; i <= count; i++)
        judge(order[i])
    if (form == "svg")
        chart()
    else
        table()
}

# Numbers are followed here: the ratio, the sums for the mean, whether the goal is met.
function judge(name)
{
    if (name in goal && goal[name] ~ /\*/) {
        split(goal[name], part, "*")
        goal[name] = is_number(value[part[2]]) ? part[1] * value[part[2]] : ""
    }
    if (is_number(value[name]) && is_number(their[name])) {
        ratio[name] = their[name] / value[name]
        logs += log(ratio[name])
        pairs++
        if (ratio[name] < 1)
            slower = slower " " name
    }
    if (is_number(value[name]) && goal[name] > 0) {
        goals++
        met[name] = value[name] <= goal[name]
        if (met[name])
            reached++
        else
            missed = missed " " name
    }
}

function is_number(text) { return text ~ /^[0-9.]+$/ && text > 0 }

function shown(text) { return is_number(text) ? sprintf(text < 100 ? "%.1f" : "%.0f", text) : text }

function ratio_of(name) { return name in ratio ? sprintf("%.2f", ratio[name]) : "-" }

function goal_of(name) { return goal[name] > 0 ? shown(goal[name]) : "-" }

function table(    i, name, line)
{
    heads()
    for (i = 1; i <= count; i++) {
        name = order[i]
        row(name, shown(value[name]), name in their ? shown(their[name]) : "-", ratio_of(name), goal_of(name),
            (name in met) ? (met[name] ? "yes" : "no") : "-", per[name], what[name])
    }
    if (form == "markdown")
        return
    if (form == "tsv") {
        if (pairs)
            print "# geometric mean of " pairs "\t\t\t" sprintf("%.2f", exp(logs / pairs))
        return
    }
    if (pairs) {
        printf "\ngeometric mean of %d: %s takes %.2f times as much\n", pairs, theirs, exp(logs / pairs)
        print "slower than " theirs ":" (slower == "" ? " none" : slower)
    }
    if (goals)
        print "goals reached: " reached + 0 " of " goals (missed == "" ? "" : "; not yet:" missed)
}

function heads()
{
    if (form == "markdown") {
        print "| measure | quire | " title " | " title "/quire | goal | what |"
        print "| --- | ---: | ---: | ---: | ---: | --- |"
    } else if (form == "tsv" || theirs != "")
        row("measure", "quire", theirs == "" ? "-" : theirs, theirs == "" ? "-" : theirs "/quire", "goal", "met", "per",
            "what")
    else
        row("measure", "quire", "", "", "goal", "met", "per", "what")
}

function row(name, mine, others, quotient, target, is_met, unit, text)
{
    if (form == "markdown")
        printf "| `%s` | %s | %s | %s | %s%s | %s, per %s |\n", name, mine, others, quotient, target,
            is_met == "no" ? " (no)" : "", text, unit
    else if (form == "tsv")
        print name "\t" mine "\t" others "\t" quotient "\t" target "\t" is_met "\t" unit "\t" text
    else if (theirs != "")
        printf "%-28s %11s %11s %12s %9s %-4s %s\n", name, mine, others, quotient, target, is_met, unit
    else
        printf "%-28s %11s %9s %-4s %s\n", name, mine, target, is_met, unit
}

# ---- The chart: a row per measure, bars on a logarithmic scale ----

function chart(    i, power, height)
{
    row_height = theirs == "" ? 18 : 26
    left = 215
    width = 640
    top = 78
    decades = 1
    for (i = 1; i <= count; i++) {
        widen(value[order[i]])
        widen(their[order[i]])
    }
    height = top + count * row_height + 30
    printf "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"%d\" height=\"%d\" viewBox=\"0 0 %d %d\" " \
           "font-family=\"sans-serif\" font-size=\"11\">\n", left + width + 150, height, left + width + 150, height
    print "<rect width=\"100%\" height=\"100%\" fill=\"#ffffff\"/>"
    text(12, 24, "Instructions per operation" (theirs == "" ? "" : ", Quire and " title), "start", "#111111",
         " font-size=\"17\" font-weight=\"bold\"")
    text(12, 42, "one hart, logarithmic scale, less is better" \
         (pairs ? sprintf("; at the right, %s to Quire (geometric mean %.2f)", title, exp(logs / pairs)) : ""), "start",
         "#555555", "")
    legend()
    for (power = 0; power <= decades; power++) {
        line(x_of(10 ^ power), top - 4, top + count * row_height, power ? "#dddddd" : "#888888", 1)
        text(x_of(10 ^ power), top - 8, thousands(10 ^ power), "middle", "#555555", "")
    }
    for (i = 1; i <= count; i++)
        bars(order[i], top + (i - 1) * row_height)
    print "</svg>"
}

function widen(number)
{
    while (is_number(number) && number > 10 ^ decades)
        decades++
}

function x_of(number) { return left + (number <= 1 ? 0 : log(number) / log(10) / decades * width) }

function thousands(number,    digits)
{
    digits = sprintf("%.0f", number)
    while (match(digits, /[0-9][0-9][0-9][0-9](,|$)/))
        digits = substr(digits, 1, RSTART) "," substr(digits, RSTART + 1)
    return digits
}

function legend(    at)
{
    at = left
    box(at, 50, 11, 9, "#1f6fb4")
    text(at + 15, 58, "Quire", "start", "#111111", "")
    at += 62
    if (theirs != "") {
        box(at, 50, 11, 9, "#d98324")
        text(at + 15, 58, title, "start", "#111111", "")
        at += 32 + 7 * length(theirs)
    }
    line(at, 49, 60, "#111111", 2)
    text(at + 7, 58, "goal", "start", "#111111", "")
}

function bars(name, y,    thick)
{
    thick = theirs == "" ? 12 : 10
    text(left - 6, y + row_height / 2 + 3, name, "end", "#111111", "")
    bar(value[name], y + 2, thick, "#1f6fb4")
    if (theirs != "")
        bar(their[name], y + 2 + thick, thick, "#d98324")
    if (goal[name] > 0)
        line(x_of(goal[name]), y + 1, y + row_height - 3, "#111111", 2)
    label(value[name], y + 2, thick)
    if (theirs != "")
        label(name in their ? their[name] : "-", y + 2 + thick, thick)
    if (name in ratio)
        text(left + width + 140, y + row_height / 2 + 4, sprintf("%.2f", ratio[name]), "end",
             ratio[name] < 1 ? "#b00020" : "#111111", " font-weight=\"bold\"")
}

function bar(number, y, thick, colour)
{
    if (is_number(number))
        box(left, y, x_of(number) - left, thick - 1, colour)
}

# At a bar's end, readable on top of the goal's line.
function label(number, y, thick)
{
    if (is_number(number))
        text(x_of(number) + 4, y + thick - 2, number < 100 ? sprintf("%.1f", number) : thousands(number), "start",
             "#333333", HALO " font-size=\"9\"")
    else
        text(left + 4, y + thick - 2, number, "start", "#888888", " font-size=\"9\"")
}

function box(x, y, wide, high, colour)
{
    printf "<rect x=\"%.1f\" y=\"%.1f\" width=\"%.1f\" height=\"%.1f\" fill=\"%s\"/>\n", x, y, wide, high, colour
}

function line(x, from, to, colour, thick)
{
    printf "<line x1=\"%.1f\" y1=\"%.1f\" x2=\"%.1f\" y2=\"%.1f\" stroke=\"%s\" stroke-width=\"%d\"/>\n",
        x, from, x, to, colour, thick
}

function text(x, y, words, anchor, colour, more)
{
    printf "<text x=\"%.1f\" y=\"%.1f\" text-anchor=\"%s\" fill=\"%s\"%s>%s</text>\n", x, y, anchor, colour, more,
        words
}
