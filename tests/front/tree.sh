# What docs/design.md says of the tree, and what documents and comments name.
. tests/front/tap.sh

# The layer of a file below kernel/. Terminals are files; whoever needs memory may ask the allocator.
layers='
function layer(path)
{
    if (path ~ /^vm\/(kmalloc|page)\.h$/)
        return 1
    if (path ~ /^dev\/(tty|pty|ldisc|uart|syslog)/)
        return 3
    split(path, part, "/")
    return of[part[1]]
}
BEGIN {
    of["lib"] = of["arch"] = of["sched"] = of["dev"] = 1
    of["vm"] = 2
    of["fs"] = of["proc"] = 3
    of["sys"] = 4
}
{
    from = FILENAME
    sub(/^kernel\//, "", from)
    if (split($0, quoted, "\"") > 1 && /^#include "/ && from ~ /\// && layer(quoted[2]) > layer(from))
        print from " includes " quoted[2]
}'
up=$(find kernel -name '*.[ch]' -exec awk "$layers" {} +)
is "$up" "" "no module includes a header of one above it"

# names FILE...: the names of source files in them. (NAME in capitals is a placeholder.)
names()
{
    grep -ohE '(^|[^A-Za-z0-9_/.<*-])([a-z0-9_-]+/)*[a-z0-9_-]+\.(c|h|S|sh)($|[^A-Za-z0-9_.(])' "$@" |
        grep -oE '([a-z0-9_-]+/)*[a-z0-9_-]+\.(c|h|S|sh)' | sort -u
}
find . -path ./build -prune -o -type f -print | sed 's,^\.,,' >"$tmp/files"
# missing FILE...: those that no file of the tree has. Other systems' are named as well.
missing()
{
    names "$@" | while read -r name; do
        case $name in
        ulib.c | umalloc.c | stdio.h | linux/fs.h) continue ;;
        esac
        grep -q "/$name\$" "$tmp/files" || echo "$name"
    done
}
is "$(missing README.md docs/*.md libvm/README.md apps/*/README.md)" "" "source files that the documents name are there"
find kernel -name '*.[chS]' -exec grep -hE '^ ?\*|/\*' {} + >"$tmp/comments"
is "$(missing "$tmp/comments")" "" "so are those that the kernel's comments name"

# Links between documents.
dead=$(for doc in README.md docs/*.md libvm/README.md apps/*/README.md; do
    grep -oE '\]\([^)#]+' "$doc" | sed 's/^](//' | grep -v '://' | while read -r link; do
        [ -e "$(dirname "$doc")/$link" ] || echo "$doc: $link"
    done
done)
is "$dead" "" "links between documents lead somewhere"
finish
