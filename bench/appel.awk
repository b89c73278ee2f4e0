# Appel & Li's table from three results of bench/appel: for people, with tabs, in Markdown, or as a chart.
#
#   awk -f appel.awk -v form=table|tsv|markdown|svg -v linux=FILE -v signals=FILE -v libvm=FILE

BEGIN {
    FS = "\t"
    rows = split("trap unprot appel1 appel2 dirty log", name, " ")
    what["trap"] = "a trap, and back"
    what["unprot"] = "trap+unprot"
    what["appel1"] = "prot1+trap+unprot"
    what["appel2"] = "protN+trap+unprot, per page"
    what["dirty"] = "10 of 100 pages stored to, found, armed"
    what["log"] = "a first store, recorded"
    goal["trap"] = 130; goal["unprot"] = 170; goal["appel1"] = 450; goal["appel2"] = 250
    goal["dirty"] = 1500; goal["log"] = 90
    read(linux, 1)
    read(signals, 2)
    read(libvm, 3)
    title[1] = "Linux, signals"; title[2] = "Quire, signals"; title[3] = "Quire, libvm"
    colour[1] = "#d98324"; colour[2] = "#7fb0dc"; colour[3] = "#1f6fb4"
    if (form == "svg")
        chart()
    else
        table()
    for (i = 1; i <= rows; i++)
        for (side = 1; side <= 3; side++)
            if (value[name[i], side] == "")
                exit 1
}

function read(file, side)
{
    while ((getline <file) > 0)
        if ($0 !~ /^#/)
            value[$1, side] = $2
}

function number(text) { return text == "" ? "-" : sprintf("%.0f", text) }

function times(row) { return value[row, 3] > 0 ? sprintf("%.1f", value[row, 1] / value[row, 3]) : "-" }

function table(    i, row)
{
    line("", title[1], title[2], title[3], "Linux/libvm", "goal", "")
    if (form == "markdown")
        print "| --- | ---: | ---: | ---: | ---: | ---: | --- |"
    for (i = 1; i <= rows; i++) {
        row = name[i]
        line(row, number(value[row, 1]), number(value[row, 2]), number(value[row, 3]), times(row), goal[row], what[row])
    }
}

function line(row, a, b, c, quotient, target, words)
{
    if (form == "tsv")
        print row "\t" a "\t" b "\t" c "\t" quotient "\t" target "\t" words
    else if (form == "markdown")
        print "| " row " | " a " | " b " | " c " | " quotient " | " target " | " words " |"
    else
        printf "%-8s %15s %15s %13s %12s %6s  %s\n", row, a, b, c, quotient, target, words
}

# ---- The chart: three bars per row, on a logarithmic scale from 10 to a million ----

function x_of(n) { return left + (n <= 10 ? 0 : (log(n) / log(10) - 1) / 5 * width) }

function chart(    i, side, y, power)
{
    left = 250; width = 600; top = 84; high = 52
    printf "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"%d\" height=\"%d\" viewBox=\"0 0 %d %d\" font-family=\"sans-serif\" font-size=\"12\">\n",
        left + width + 90, top + rows * high + 20, left + width + 90, top + rows * high + 20
    print "<rect width=\"100%\" height=\"100%\" fill=\"#ffffff\"/>"
    text(12, 24, "Faults that a program handles itself", "start", "#111111", " font-size=\"17\" font-weight=\"bold\"")
    text(12, 42, "instructions of all privilege levels per operation, one hart, logarithmic scale, less is better", "start", "#555555", "")
    for (side = 1; side <= 3; side++) {
        box(left + (side - 1) * 130, 52, 11, 9, colour[side])
        text(left + (side - 1) * 130 + 16, 60, title[side], "start", "#111111", "")
    }
    rule(left + 395, 51, 62, "#111111", 2)
    text(left + 402, 60, "goal", "start", "#111111", "")
    for (power = 1; power <= 6; power++) {
        rule(x_of(10 ^ power), top - 6, top + rows * high - 8, "#dddddd", 1)
        text(x_of(10 ^ power), top - 9, sprintf("%d", 10 ^ power), "middle", "#555555", " font-size=\"10\"")
    }
    for (i = 1; i <= rows; i++) {
        y = top + (i - 1) * high
        text(left - 8, y + 18, name[i], "end", "#111111", " font-weight=\"bold\"")
        text(left - 8, y + 34, what[name[i]], "end", "#555555", " font-size=\"11\"")
        for (side = 1; side <= 3; side++) {
            if (value[name[i], side] == "")
                continue
            box(left, y + (side - 1) * 14, x_of(value[name[i], side]) - left, 12, colour[side])
            text(x_of(value[name[i], side]) + 5, y + (side - 1) * 14 + 10, number(value[name[i], side]), "start", "#333333",
                " font-size=\"10\" paint-order=\"stroke\" stroke=\"#ffffff\" stroke-width=\"3\"")
        }
        rule(x_of(goal[name[i]]), y - 1, y + 41, "#111111", 2)
    }
    print "</svg>"
}

function box(x, y, wide, tall, fill)
{
    printf "<rect x=\"%.1f\" y=\"%.1f\" width=\"%.1f\" height=\"%d\" fill=\"%s\"/>\n", x, y, wide, tall, fill
}

function rule(x, from, to, stroke, thick)
{
    printf "<line x1=\"%.1f\" y1=\"%d\" x2=\"%.1f\" y2=\"%d\" stroke=\"%s\" stroke-width=\"%d\"/>\n", x, from, x, to, stroke, thick
}

function text(x, y, words, anchor, fill, more)
{
    printf "<text x=\"%.1f\" y=\"%.1f\" text-anchor=\"%s\" fill=\"%s\"%s>%s</text>\n", x, y, anchor, fill, more, words
}
