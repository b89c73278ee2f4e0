# Installation into a folder of one's own: what is there, and that C and C++ programs build from it by pkg-config.
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
count=0
check()
{
    count=$((count + 1))
    name=$1
    shift
    if "$@" >"$work/log" 2>&1; then
        echo "ok $count - $name"
    else
        echo "not ok $count - $name"
        sed 's/^/# /' "$work/log" | head -n 20
    fi
}
cross=${CROSS:-riscv64-linux-gnu-}
cat >"$work/program.c" <<'END'
#include <vm.h>
static void handler(struct vm_fault *fault, void *argument) { vm_fault_protect(fault, fault->address, 1, PROT_READ); (void)argument; }
int main(void)
{
    void *at = vm_alloc(vm_page_size(), PROT_NONE);
    return vm_trap(at, vm_page_size(), handler, 0) || *(volatile char *)at;
}
END
cp "$work/program.c" "$work/program.cc"
check "make install-libvm" make -s install-libvm PREFIX="$work/usr"
for file in include/vm.h include/quire/vmtrap.h lib/libvm.a lib/pkgconfig/vm.pc share/man/man2/vmtrap.2; do
    check "$file is there" test -s "$work/usr/$file"
done
if command -v pkg-config >/dev/null; then
    flags() { PKG_CONFIG_PATH=$work/usr/lib/pkgconfig pkg-config "$@" vm; }
else
    flags() { sed -n "s|\${prefix}|$work/usr|; s|\${includedir}|$work/usr/include|; s|\${libdir}|$work/usr/lib|; s/^\(Cflags\|Libs\): //p" "$work/usr/lib/pkgconfig/vm.pc"; }
fi
# shellcheck disable=SC2046 # options
check "a C program" "${cross}gcc" -Wall -Wextra -Wpedantic -Werror -std=c99 -D_DEFAULT_SOURCE -static "$work/program.c" -o "$work/program" $(flags --cflags --libs)
cxx=
for try in "${cross}g++" g++; do
    if [ -z "$cxx" ] && command -v "$try" >/dev/null; then cxx=$try; fi
done
if [ "$cxx" = g++ ]; then # of the host: from the sources
    for source in libvm/*.c; do
        gcc -std=gnu11 -w -c -Ilibvm/include "$source" -o "$work/$(basename "$source").o" || exit 1
    done
    check "a C++ program" g++ -Wall -Wextra -Wpedantic -Werror -std=c++11 -I"$work/usr/include" "$work/program.cc" "$work"/*.o -pthread -o "$work/program++"
    check "runs" "$work/program++"
elif [ -n "$cxx" ]; then
    # shellcheck disable=SC2046
    check "a C++ program" "$cxx" -Wall -Wextra -Wpedantic -Werror -std=c++11 -static "$work/program.cc" -o "$work/program++" $(flags --cflags --libs)
fi
echo "1..$count"
