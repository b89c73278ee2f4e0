/*
 * poll(2), ppoll, select(2) as pselect6. Linux's raw calls write the time that is left back; the mask of ppoll and
 * pselect6 holds for the wait only and, when a signal ends it, until its handler has run.
 */
#include "fs/poll.h"
#include "lib/rlimit.h"
#include "lib/string.h"
#include "proc/signal.h"
#include "sys/syscall.h"
#include "vm/kmalloc.h"
#include "vm/uaccess.h"

/* ---- time-outs ---- */

struct timeout {
    struct timespec64 *user; /* NULL: none given */
    u64 deadline;            /* monotonic; 0: do not wait */
};

static int timeout_get(struct timeout *t, u64 user)
{
    struct timespec64 ts;
    u64 ns;

    t->user = (struct timespec64 *)user;
    t->deadline = NO_DEADLINE;
    if (user == 0)
        return 0;
    if (copy_from_user(&ts, t->user, sizeof(ts)) != 0)
        return -EFAULT;
    if (ts.sec < 0 || ts.nsec < 0 || ts.nsec >= (s64)NSEC_PER_SEC)
        return -EINVAL;
    if (ts.sec == 0 && ts.nsec == 0) {
        t->deadline = 0;
    } else if ((u64)ts.sec < NO_DEADLINE / NSEC_PER_SEC / 4) {
        ns = (u64)ts.sec * NSEC_PER_SEC + (u64)ts.nsec;
        t->deadline = time_ns() + ns;
    }
    return 0;
}

/* Tells the caller how much time was left; a bad pointer here is nobody's error. */
static void timeout_put(const struct timeout *t)
{
    u64 now = time_ns(), left = t->deadline > now && t->deadline != NO_DEADLINE ? t->deadline - now : 0;
    struct timespec64 ts = {(s64)(left / NSEC_PER_SEC), (s64)(left % NSEC_PER_SEC)};

    if (t->user != NULL && t->deadline != NO_DEADLINE && copy_to_user(t->user, &ts, sizeof(ts)) != 0)
        return;
}

/* ---- ppoll ---- */

static long poll_user(u64 user_fds, unsigned n, u64 deadline)
{
    struct pollfd few[8], *fds = few;
    long result;

    if (n > current->limits->limit[RLIMIT_NOFILE].soft)
        return -EINVAL;
    if (n > ARRAY_SIZE(few)) {
        fds = kmalloc(n * sizeof(*fds));
        if (fds == NULL)
            return -ENOMEM;
    }
    result = copy_from_user(fds, (void *)user_fds, n * sizeof(*fds));
    if (result == 0) {
        result = poll_files(fds, n, deadline);
        for (unsigned i = 0; i < n && result >= 0; i++) {
            s16 *revents = &((struct pollfd *)user_fds)[i].revents;

            if (copy_to_user(revents, &fds[i].revents, sizeof(*revents)) != 0)
                result = -EFAULT;
        }
    }
    if (fds != few)
        kfree(fds);
    return result;
}

DEFINE_SYSCALL(sys_ppoll)
{
    struct timeout timeout;
    long result = timeout_get(&timeout, a2);

    if (result == 0)
        result = signal_use_mask((const void *)a3, a4);
    if (result != 0)
        return result;
    result = poll_user(a0, (unsigned)a1, timeout.deadline);
    if (result == -EINTR)
        result = -ERESTARTNOHAND;
    signal_mask_done(result == -ERESTARTNOHAND);
    timeout_put(&timeout);
    return result;
}

/* ---- pselect6 ---- */

#define READ_EVENTS (POLLRDNORM | POLLRDBAND | POLLIN | POLLHUP | POLLERR)
#define WRITE_EVENTS (POLLWRNORM | POLLWRBAND | POLLOUT | POLLERR)
#define EXCEPT_EVENTS POLLPRI

static size_t set_bytes(unsigned n) { return DIV_ROUND_UP(n, 64) * 8; }

static int set_get(u64 *bits, u64 user, unsigned n)
{
    memset(bits, 0, set_bytes(n));
    return user == 0 ? 0 : copy_from_user(bits, (void *)user, set_bytes(n));
}

static int set_put(const u64 *bits, u64 user, unsigned n)
{
    return user == 0 ? 0 : copy_to_user((void *)user, bits, set_bytes(n));
}

static bool has_bit(const u64 *bits, unsigned i) { return (bits[i / 64] >> (i % 64) & 1) != 0; }

/* The three sets as a list of pollfds: how many. */
static unsigned sets_to_list(const u64 *sets[3], unsigned n, struct pollfd *fds)
{
    unsigned count = 0;

    for (unsigned i = 0; i < n; i++) {
        unsigned events = (has_bit(sets[0], i) ? READ_EVENTS : 0) | (has_bit(sets[1], i) ? WRITE_EVENTS : 0) |
                          (has_bit(sets[2], i) ? EXCEPT_EVENTS : 0);

        if (events != 0)
            fds[count++] = (struct pollfd){(s32)i, (s16)events, 0};
    }
    return count;
}

/* The answers back into the sets: how many bits are on, or -EBADF. */
static long list_to_sets(const struct pollfd *fds, unsigned count, u64 *sets[3], unsigned n)
{
    static const unsigned events[3] = {READ_EVENTS, WRITE_EVENTS, EXCEPT_EVENTS};
    long ready = 0;

    for (unsigned i = 0; i < count; i++) {
        unsigned fd = (unsigned)fds[i].fd;

        if (fds[i].revents & POLLNVAL)
            return -EBADF;
        for (unsigned s = 0; s < 3; s++) {
            if (!has_bit(sets[s], fd))
                continue;
            if (fds[i].revents & events[s])
                ready++;
            else
                sets[s][fd / 64] &= ~(1ull << (fd % 64));
        }
    }
    (void)n;
    return ready;
}

static long select_sets(unsigned n, const u64 user[3], u64 deadline)
{
    size_t words = DIV_ROUND_UP(n, 64);
    u64 *memory = kmalloc(3 * words * 8 + n * sizeof(struct pollfd) + 8), *sets[3];
    struct pollfd *fds = (struct pollfd *)(memory + 3 * words);
    unsigned count;
    long result = memory != NULL ? 0 : -ENOMEM;

    for (unsigned s = 0; s < 3 && result == 0; s++) {
        sets[s] = memory + s * words;
        result = set_get(sets[s], user[s], n);
    }
    if (result == 0) {
        count = sets_to_list((const u64 **)sets, n, fds);
        result = poll_files(fds, count, deadline);
        if (result >= 0)
            result = list_to_sets(fds, count, sets, n);
        for (unsigned s = 0; s < 3 && result >= 0; s++)
            if (set_put(sets[s], user[s], n) != 0)
                result = -EFAULT;
    }
    kfree(memory);
    return result;
}

DEFINE_SYSCALL(sys_pselect6)
{
    u64 user_sets[3] = {a1, a2, a3}, mask[2] = {0, 0};
    struct timeout timeout;
    long result;

    if (a5 != 0 && copy_from_user(mask, (void *)a5, sizeof(mask)) != 0)
        return -EFAULT;
    result = timeout_get(&timeout, a4);
    if (result == 0 && (int)a0 < 0)
        result = -EINVAL;
    if (result == 0)
        result = signal_use_mask((const void *)mask[0], mask[1]);
    if (result != 0)
        return result;
    result = select_sets((unsigned)MIN((u64)(int)a0, current->limits->limit[RLIMIT_NOFILE].hard), user_sets,
                         timeout.deadline);
    if (result == -EINTR)
        result = -ERESTARTNOHAND;
    signal_mask_done(result == -ERESTARTNOHAND);
    timeout_put(&timeout);
    return result;
}
