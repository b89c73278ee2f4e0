# What the programs of apps/ cost, from build/bench/apps-APP-SIDE.tsv (tools/bench_apps.sh): for people, with tabs, in
# Markdown, or, of one program, as a chart.
#
#   awk -f apps.awk -v form=table|tsv|markdown|svg -v dir=FOLDER -v apps="gc pager"

BEGIN {
    FS = "\t"
    sides = split("quire signals linux", side, " ")
    title["quire"] = "Quire, libvm"; title["signals"] = "Quire, signals"; title["linux"] = "Linux, signals"
    colour["quire"] = "#1f6fb4"; colour["signals"] = "#7fb0dc"; colour["linux"] = "#d98324"
    n_apps = split(apps, app, " ")
    if (form == "tsv")
        print "app\trow\tquire\tsignals\tlinux\tunit\twhat"
    for (a = 1; a <= n_apps; a++) {
        read_app(app[a])
        if (form == "svg")
            chart(app[a])
        else
            table(app[a])
    }
}

# Rows in the order of the side that has them first; a row that another side has alone comes where it stands there.
function read_app(name,    s, line, field, file, last) {
    rows = 0
    split("", value); split("", place); split("", unit); split("", what)
    for (s = 1; s <= sides; s++) {
        file = dir "/apps-" name "-" side[s] ".tsv"
        while ((getline line <file) > 0) {
            split(line, field, "\t")
            if (!(field[1] in place)) {
                row[++rows] = field[1]
                place[field[1]] = rows
            }
            value[field[1], side[s]] = field[2]
            unit[field[1]] = field[3]
            if (what[field[1]] == "")
                what[field[1]] = field[4]
        }
        close(file)
    }
}

# 1234567 as 1,234,567
function number(text,    sign, out) {
    if (text !~ /^[0-9]+$/)
        return text == "" ? "" : text
    while (length(text) > 3) {
        out = "," substr(text, length(text) - 2) out
        text = substr(text, 1, length(text) - 3)
    }
    return text out
}

# How often the first goes into the last
function times(name,    ours, theirs) {
    ours = value[name, "quire"]; theirs = value[name, "linux"]
    return unit[name] == "instructions" && ours > 0 && theirs > 0 ? sprintf("%.2f", theirs / ours) : ""
}

function table(name,    i, r) {
    if (form == "markdown") {
        print "## " name "\n"
        print "| | Quire, libvm | Quire, signals | Linux, signals | Linux/libvm | |"
        print "| --- | ---: | ---: | ---: | ---: | --- |"
    } else if (form == "table") {
        printf "%s%s\n", name == app[1] ? "" : "\n", name
        line("", "Quire, libvm", "Quire, signals", "Linux, signals", "Linux/libvm", "")
    }
    for (i = 1; i <= rows; i++) {
        r = row[i]
        if (form == "tsv")
            print name "\t" r "\t" value[r, "quire"] "\t" value[r, "signals"] "\t" value[r, "linux"] "\t" unit[r] "\t" what[r]
        else
            line(r, number(value[r, "quire"]), number(value[r, "signals"]), number(value[r, "linux"]), times(r), what[r])
    }
    if (form == "markdown")
        print "\n![" name " as a chart](apps-" name ".svg)\n"
}

function line(r, a, b, c, quotient, words) {
    if (form == "markdown")
        print "| " r " | " a " | " b " | " c " | " quotient " | " words " |"
    else
        printf "  %-38s %16s %16s %16s %11s  %s\n", r, a, b, c, quotient, words
}

# ---- The chart: of each row in instructions up to three bars, on one logarithmic scale ----

function x_of(n) { return left + (n <= least ? 0 : (log(n) - log(least)) / (log(most) - log(least)) * width) }

function chart(name,    i, r, s, y, power, bars, shown) {
    left = 270; width = 560; top = 74
    least = 1e18; most = 0; high = top
    for (i = 1; i <= rows; i++)
        for (s = 1; s <= sides; s++) {
            r = value[row[i], side[s]]
            if (unit[row[i]] != "instructions" || r !~ /^[0-9]+$/ || r == 0)
                continue
            least = r < least ? r : least
            most = r > most ? r : most
            if (!(row[i] in shown))
                high += 8
            shown[row[i]] = 1
            high += 13
        }
    least = 10 ^ int(log(least) / log(10)); most *= 1.5
    printf "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"%d\" height=\"%d\" viewBox=\"0 0 %d %d\" font-family=\"sans-serif\" font-size=\"12\">\n",
        left + width + 110, high + 14, left + width + 110, high + 14
    print "<rect width=\"100%\" height=\"100%\" fill=\"#ffffff\"/>"
    text(12, 24, name, "start", "#111111", " font-size=\"17\" font-weight=\"bold\"")
    text(12, 42, "instructions of all privilege levels, one hart, logarithmic scale, less is better", "start", "#555555", "")
    for (s = 1; s <= sides; s++) {
        box(left + (s - 1) * 130, 48, 11, 9, colour[side[s]])
        text(left + (s - 1) * 130 + 16, 56, title[side[s]], "start", "#111111", "")
    }
    for (power = least; power <= most; power *= 10) {
        rule(x_of(power), top - 6, high, "#dddddd")
        text(x_of(power), top - 8, spoken(power), "middle", "#555555", " font-size=\"10\"")
    }
    y = top
    for (i = 1; i <= rows; i++) {
        r = row[i]
        if (!(r in shown))
            continue
        text(left - 8, y + 10, r, "end", "#111111", "")
        for (s = 1; s <= sides; s++) {
            if (value[r, side[s]] !~ /^[0-9]+$/ || value[r, side[s]] == 0)
                continue
            box(left, y, x_of(value[r, side[s]]) - left + 1, 11, colour[side[s]])
            text(x_of(value[r, side[s]]) + 6, y + 9, number(value[r, side[s]]), "start", "#333333",
                " font-size=\"10\" paint-order=\"stroke\" stroke=\"#ffffff\" stroke-width=\"3\"")
            y += 13
        }
        y += 8
    }
    if (name == "gc" && least < 1e6 && most > 1e6) {
        printf "<line x1=\"%.1f\" y1=\"%d\" x2=\"%.1f\" y2=\"%d\" stroke=\"#c0392b\" stroke-dasharray=\"4 3\"/>\n", x_of(1e6), top - 2, x_of(1e6), high
        text(x_of(1e6) + 4, high + 10, "goal for a stop of the concurrent collector", "start", "#c0392b", " font-size=\"10\"")
    }
    print "</svg>"
}

function spoken(n) { return n >= 1e9 ? n / 1e9 " G" : n >= 1e6 ? n / 1e6 " M" : n >= 1e3 ? n / 1e3 " k" : n "" }

function box(x, y, wide, tall, fill) {
    printf "<rect x=\"%.1f\" y=\"%.1f\" width=\"%.1f\" height=\"%d\" fill=\"%s\"/>\n", x, y, wide, tall, fill
}

function rule(x, from, to, stroke) {
    printf "<line x1=\"%.1f\" y1=\"%d\" x2=\"%.1f\" y2=\"%d\" stroke=\"%s\"/>\n", x, from, x, to, stroke
}

function text(x, y, words, anchor, fill, more) {
    printf "<text x=\"%.1f\" y=\"%.1f\" text-anchor=\"%s\" fill=\"%s\"%s>%s</text>\n", x, y, anchor, fill, more, words
}
