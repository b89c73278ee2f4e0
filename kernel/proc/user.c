/*
 * What each user (real uid) has in use: threads and queued signals, for RLIMIT_NPROC and RLIMIT_SIGPENDING. Lock:
 * users_lock (irqsave) for the list.
 */
#include "proc/internal.h"
#include "vm/kmalloc.h"

#define N_CHAINS 32

static struct spinlock users_lock;
static struct list chains[N_CHAINS];

static struct list *chain_of(u32 uid)
{
    struct list *chain = &chains[uid % N_CHAINS];

    if (chain->next == NULL)
        list_init(chain);
    return chain;
}

/* => users_lock */
static struct user *find(u32 uid)
{
    struct user *u;

    list_for_each(u, chain_of(uid), link) {
        if (u->uid == uid) {
            u->refs++;
            return u;
        }
    }
    return NULL;
}

struct user *user_get(u32 uid)
{
    struct user *fresh = kzalloc(sizeof(*fresh)), *found;
    u64 flags = spin_lock_irqsave(&users_lock);

    found = find(uid);
    if (found == NULL && fresh != NULL) {
        fresh->refs = 1;
        fresh->uid = uid;
        list_add(chain_of(uid), &fresh->link);
        found = fresh;
        fresh = NULL;
    }
    spin_unlock_irqrestore(&users_lock, flags);
    kfree(fresh);
    return found;
}

void user_hold(struct user *u)
{
    u64 flags = spin_lock_irqsave(&users_lock);

    u->refs++;
    spin_unlock_irqrestore(&users_lock, flags);
}

struct user *user_of(struct process *p)
{
    u64 flags = spin_lock_irqsave(&p->signal_lock);
    struct user *u = p->user;

    user_hold(u);
    spin_unlock_irqrestore(&p->signal_lock, flags);
    return u;
}

void user_put(struct user *u)
{
    u64 flags = spin_lock_irqsave(&users_lock);
    bool is_last = --u->refs == 0;

    if (is_last)
        list_remove(&u->link);
    spin_unlock_irqrestore(&users_lock, flags);
    if (is_last)
        kfree(u);
}
