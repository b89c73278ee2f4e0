# Programs written for xv6: `./quire xv6` builds and runs them, and tests/xv6 behave as on xv6.
. tests/front/tap.sh

on=
[ "$KERNEL" = run ] || on=--linux

# xv6 ARG...: $status, $out, and what it says beside that in $tmp/err
xv6()
{
    status=0
    out=$(./quire xv6 $on "$@" 2>"$tmp/err" </dev/null) || status=$?
}

names=$(for source in tests/xv6/*.c; do basename "$source" .c; done | grep -v -x all)
xv6 tests/xv6 --timeout 500 -- all $names
for name in $names; do
    echo "$out" | sed -n "/^# program $name$/,/^# exit $name /p" >"$tmp/one"
    points=$(grep -c '^ok ' "$tmp/one" || true)
    is "$(sed -n '/^1\.\./p; s/^# exit //p' "$tmp/one")" "1..$points
$name 0" "$name: $points points"
    grep -A1 '^not ok' "$tmp/one" | sed 's/^/# /'
done

mkdir "$tmp/lab"
cat >"$tmp/lab/args.c" <<'END'
#include "kernel/types.h"
#include "user/user.h"
int half(int n);
int main(int argc, char *argv[])
{
    for (int i = 0; i < argc; i++)
        printf("%d %s\n", i, argv[i]);
    return half(argc);
}
END
echo 'int half(int n) { return n / 2; }' >"$tmp/lab/half.c"
echo "some text" >"$tmp/lab/text"
xv6 "$tmp/lab" -- args "two words" '*' ''
is "$status" 2 "a program's status is ours; a .c without main is part of it"
is "$out" "0 args
1 two words
2 *
3 " "arguments arrive as they are"
xv6 "$tmp/lab" --smp 2 -- cat text
is "$out" "some text" "other files of the folder are there"
xv6 "$tmp/lab" -- ls /
is "$(echo "$out" | awk '{ print $1 }' | grep -c -x -e args -e text -e cat -e sh -e README -e half)" 5 \
    "beside the small programs of xv6/programs"

mkdir -p "$tmp/tree/user" "$tmp/tree/kernel"
cp "$tmp/lab/args.c" "$tmp/lab/half.c" "$tmp/tree/user"
xv6 "$tmp/tree" -- args
is "$status $out" "0 0 args" "a tree with its programs in user/"

# refused PATTERN ARG...: one line, status 2
refused()
{
    pattern=$1
    shift
    xv6 "$@"
    is "$status $(wc -l <"$tmp/err")" "2 1" "$(basename "$1"): status 2, one line"
    like "$(cat "$tmp/err")" "$pattern" "which says: $pattern"
}

printf 'int main(void)\n{\n    return nothing;\n}\n' >"$tmp/lab/bad.c"
refused "quire: bad.c does not compile: bad.c:3:*nothing*" "$tmp/lab" -- args
printf 'int missing(void);\nint main(void) { return missing(); }\n' >"$tmp/lab/bad.c"
refused "quire: bad.c cannot be linked: *missing*" "$tmp/lab" -- args
rm "$tmp/lab/bad.c"
refused "quire: xv6: no program 'nothere' in *: there are args" "$tmp/lab" -- nothere
refused "quire: xv6: /no/such/folder: no such folder*" /no/such/folder -- args
mkdir "$tmp/empty"
refused "quire: *empty: no program there*" "$tmp/empty" -- args
xv6
is "$status" 2 "no folder: status 2"
finish
