/* The host's name and domain. Lock: `lock` (spin), a leaf. */
#include "proc/uname.h"
#include "lib/string.h"
#include "sched/spinlock.h"

static struct spinlock lock;
static char names[2][UNAME_LENGTH + 1] = {[HOST_NAME] = "quire", [HOST_DOMAIN] = "(none)"};

void host_name_get(enum host_name which, char name[UNAME_LENGTH + 1])
{
    spin_lock(&lock);
    memcpy(name, names[which], UNAME_LENGTH + 1);
    spin_unlock(&lock);
}

void host_name_set(enum host_name which, const char *name, size_t n)
{
    ASSERT(n <= UNAME_LENGTH);
    spin_lock(&lock);
    memset(names[which], 0, sizeof(names[which]));
    memcpy(names[which], name, n);
    spin_unlock(&lock);
}
