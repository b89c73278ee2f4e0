# Installation into a folder of one's own: what is there, and that C and C++ programs build from it by pkg-config, and run.
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
cat >"$work/program.cc" <<'END'
#include <vm.h>
class pages {
public:
    explicit pages(size_t n)
        : start(vm_alloc(n * vm_page_size(), PROT_NONE)), opened(0), bad(vm_trap(start, n * vm_page_size(), on_fault, this))
    {
    }
    int touch(size_t n) { return bad ? bad : *reinterpret_cast<volatile char *>(static_cast<char *>(start) + n * vm_page_size()); }
    int count() const { return opened; }

private:
    static void on_fault(struct vm_fault *fault, void *self)
    {
        uintptr_t page = reinterpret_cast<uintptr_t>(fault->address) & -vm_page_size();
        static_cast<pages *>(self)->opened++;
        vm_fault_protect(fault, reinterpret_cast<void *>(page), vm_page_size(), PROT_READ);
    }
    void *start;
    int opened, bad;
};
int main()
{
    pages p(4);
    return p.touch(1) || p.touch(3) || p.touch(1) || p.count() != 2;
}
END
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
check "it runs" ./quire run --add "$work/program:/root/program" -- /root/program
cxx=
for try in "${cross}g++" g++; do
    if [ -z "$cxx" ] && command -v "$try" >/dev/null; then cxx=$try; fi
done
cxx_flags="-Wall -Wextra -Wpedantic -Werror -std=c++11"
if [ "$cxx" != "${cross}g++" ] && command -v clang++ >/dev/null; then # without a C++ library for it
    # shellcheck disable=SC2046,SC2086
    check "a C++ program" clang++ --target=riscv64-linux-gnu -march=rv64gc -mabi=lp64d -fno-exceptions -fno-rtti -nostdinc++ \
        -isystem "/usr/${cross%-}/include" $cxx_flags $(flags --cflags) -c "$work/program.cc" -o "$work/program++.o"
    # shellcheck disable=SC2046
    check "linked with the library" "${cross}gcc" -static "$work/program++.o" -o "$work/program++" $(flags --libs)
    check "it runs" ./quire run --add "$work/program++:/root/program" -- /root/program
elif [ "$cxx" = g++ ]; then # of the host: from the sources
    for source in libvm/*.c; do
        gcc -std=gnu11 -w -c -Ilibvm/include "$source" -o "$work/$(basename "$source").o" || exit 1
    done
    # shellcheck disable=SC2086
    check "a C++ program" g++ $cxx_flags -I"$work/usr/include" "$work/program.cc" "$work"/*.o -pthread -o "$work/program++"
    check "runs" "$work/program++"
elif [ -n "$cxx" ]; then
    # shellcheck disable=SC2046,SC2086
    check "a C++ program" "$cxx" $cxx_flags -static "$work/program.cc" -o "$work/program++" $(flags --cflags --libs)
    check "it runs" ./quire run --add "$work/program++:/root/program" -- /root/program
fi
echo "1..$count"
