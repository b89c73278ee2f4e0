# Electric Fence, preloaded: each allocation ends at a page that may not be touched.
. /programs/tap.sh

cat >overrun.c <<'END'
#include <stdlib.h>
#include <string.h>
int main(int argc, char **argv)
{
    char *p = malloc(16), *q = malloc(24);
    memset(p, 1, 16);
    if (argc > 1 && *argv[1] == 'o')
        *(volatile char *)(p + 16) = 1;
    free(q);
    if (argc > 1 && *argv[1] == 'f')
        return *(volatile char *)q;
    for (int i = 0; i < 300; i++)
        free(realloc(malloc((size_t)i + 1), (size_t)i * 3 + 1));
    return 0;
}
END
fence="env LD_PRELOAD=libefence.so.0.0"
ok "a program is compiled in the guest" gcc -O1 -w -o overrun overrun.c
ok "it runs" ./overrun
ok "and so does its overrun, unseen" ./overrun overrun
ok "a right program runs with the fence" $fence ./overrun
fails 139 "one byte too far is a fault" $fence ./overrun overrun
fails 139 "with EF_PROTECT_FREE, so is the use of freed memory" env EF_PROTECT_FREE=1 LD_PRELOAD=libefence.so.0.0 ./overrun free
is "$(EF_PROTECT_BELOW=1 LD_PRELOAD=libefence.so.0.0 ./overrun 2>/dev/null; echo $?)" 0 "the page below may be the one"
ok "a program of others" $fence ls /
finish
