# Draws what gc --pauses=FILE wrote: each stop a dot, when it was against how long it took (logarithmic), as SVG.
#   awk -f apps/gc/pauses.awk FILE >pauses.svg

BEGIN {
    width = 800; height = 400; left = 80; bottom = 40; top = 30
    split("flip trap help minor full stopped", kinds, " ")
    split("#d62728 #1f77b4 #2ca02c #ff7f0e #9467bd #7f7f7f", shades, " ")
    for (i in kinds) shade[kinds[i]] = shades[i]
    least = 2; most = 9
}
NR > 1 { kind[++n] = $1; when[n] = $2; long[n] = $3; if ($2 > end) end = $2; count[$1]++ }
function x(t) { return left + (width - left - 20) * t / (end ? end : 1) }
function y(l,    d) {
    d = log(l < 1 ? 1 : l) / log(10)
    d = d < least ? least : d > most ? most : d
    return height - bottom - (height - bottom - top) * (d - least) / (most - least)
}
END {
    printf "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"%d\" height=\"%d\" font-family=\"sans-serif\" font-size=\"12\">\n", width, height
    printf "<rect width=\"100%%\" height=\"100%%\" fill=\"white\"/>\n"
    for (d = least; d <= most; d++) {
        printf "<line x1=\"%d\" x2=\"%d\" y1=\"%.1f\" y2=\"%.1f\" stroke=\"#ddd\"/>", left, width - 20, y(10 ^ d), y(10 ^ d)
        printf "<text x=\"%d\" y=\"%.1f\" text-anchor=\"end\">%s ns</text>\n", left - 6, y(10 ^ d) + 4, 10 ^ d
    }
    printf "<line x1=\"%d\" x2=\"%d\" y1=\"%.1f\" y2=\"%.1f\" stroke=\"red\" stroke-dasharray=\"6 3\"/>\n", left, width - 20, y(1e6), y(1e6)
    for (i = 1; i <= n; i++) {
        key = int(x(when[i])) " " int(y(long[i])) " " kind[i]
        if (key in seen) continue
        seen[key] = 1
        printf "<circle cx=\"%.0f\" cy=\"%.0f\" r=\"1.5\" fill=\"%s\"/>\n", x(when[i]), y(long[i]), shade[kind[i]]
    }
    at = left
    for (i = 1; i <= 6; i++) if (count[kinds[i]]) {
        printf "<circle cx=\"%d\" cy=\"14\" r=\"4\" fill=\"%s\"/><text x=\"%d\" y=\"18\">%s (%d)</text>\n", at, shades[i], at + 8, kinds[i], count[kinds[i]]
        at += 110
    }
    printf "<text x=\"%d\" y=\"%d\" text-anchor=\"end\">%.2f s</text>\n</svg>\n", width - 20, height - 12, end / 1e9
}
