/* sigalarm and sigreturn of the lab on traps. */
#include "check.h"

static volatile int calls, deep, too_deep;

static void count(void)
{
    calls++;
    sigreturn();
}

static void count_five(void)
{
    if (++calls == 5)
        sigalarm(0, 0);
    sigreturn();
}

/* Takes longer than the interval. */
static void be_slow(void)
{
    int began = uptime();

    too_deep |= deep++ > 0;
    calls++;
    while (uptime() < began + 3)
        ;
    deep--;
    sigreturn();
}

/* Works until CALLS is WANTED or a long time has passed. */
static void work_until(int wanted)
{
    int began = uptime();

    while (calls < wanted && uptime() < began + 200)
        for (volatile int i = 0; i < 100000; i++)
            ;
}

/* Every register that may be is in use, and none may change. */
static __attribute__((noinline)) int registers_stay(int rounds)
{
    uint64 a = 1, b = 2, c = 3, d = 4, e = 5, f = 6, g = 7, h = 8, i = 9, j = 10, k = 11, l = 12;
    int good = 1;

    for (int round = 0; round < rounds && good; round++) {
        for (int turn = 0; turn < 1000; turn++) {
            __asm__ volatile("" : "+r"(a), "+r"(b), "+r"(c), "+r"(d), "+r"(e), "+r"(f));
            __asm__ volatile("" : "+r"(g), "+r"(h), "+r"(i), "+r"(j), "+r"(k), "+r"(l));
            a += l, b += a, c ^= b, d += c, e ^= d, f += e, g += f, h ^= g, i += h, j += i, k ^= j, l += k;
        }
        for (int turn = 0; turn < 1000; turn++) {
            l -= k, k ^= j, j -= i, i -= h, h ^= g, g -= f, f -= e, e ^= d, d -= c, c ^= b, b -= a, a -= l;
            __asm__ volatile("" : "+r"(a), "+r"(b), "+r"(c), "+r"(d), "+r"(e), "+r"(f));
            __asm__ volatile("" : "+r"(g), "+r"(h), "+r"(i), "+r"(j), "+r"(k), "+r"(l));
        }
        good = a == 1 && b == 2 && c == 3 && d == 4 && e == 5 && f == 6 && g == 7 && h == 8 && i == 9 && j == 10 &&
               k == 11 && l == 12;
    }
    return good;
}

static void exec_with_alarm(void)
{
    char *arguments[] = {"alarms", "spin", 0};

    sigalarm(1, count);
    exec("nowhere", arguments);
    calls = 0;
    work_until(1);
    if (calls > 0)
        exec("alarms", arguments);
    exit(1);
}

int main(int argc, char *argv[])
{
    int good = 1;

    (void)argv;
    if (argc > 1) { /* of exec_with_alarm */
        for (int began = uptime(); uptime() < began + 4;)
            ;
        exit(5);
    }

    CHECK(sigalarm(1, count) == 0, "sigalarm");
    work_until(3);
    CHECK(calls >= 3, "the handler is called, again and again");
    calls = 0;
    for (int began = uptime(); good && calls < 5 && uptime() < began + 200;)
        good = registers_stay(50);
    CHECK(good && calls >= 5, "and no register changes");
    sigalarm(0, 0);
    calls = 0;
    for (int began = uptime(); uptime() < began + 4;)
        ;
    CHECK(calls == 0, "sigalarm(0, 0) ends it");

    calls = 0;
    sigalarm(1, count_five);
    work_until(6);
    CHECK(calls == 5, "the handler may end it");

    calls = 0;
    sigalarm(1, be_slow);
    work_until(3);
    sigalarm(0, 0);
    CHECK(calls >= 3 && !too_deep, "a handler is not interrupted by its own alarm");
    CHECK(status_of(exec_with_alarm) == 5, "exec takes no alarm along, and leaves it when it fails");
    CHECK(sigreturn() == -1, "sigreturn outside of a handler fails");
    finish();
}
