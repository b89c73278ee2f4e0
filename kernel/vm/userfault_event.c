/*
 * What userfaultfd's readers are told besides faults: that a process has forked, that mappings were moved or removed,
 * that pages are about to be dropped. The call that does it waits until the message has been read; meanwhile nothing is
 * filled in through that context (`changing`), for the reader does not yet know what has become of the addresses.
 *
 * The waiting must not happen under space->lock. So unmap_range and mremap leave notices on the list of removed vmas: a
 * notice is a vma in no tree, with the range, the context (referenced) and, in `offset`, where the range went. Who
 * frees the list, outside all locks, delivers them.
 */
#include "vm/kmalloc.h"
#include "vm/userfaults.h"

static bool wants(const struct vma *v, u32 feature)
{
    return (v->flags & VMA_USERFAULT) && (v->userfault->features & feature);
}

/* ---- fork ---- */

static struct userfault *context_of_child(struct userfault *parent, struct space *child, struct list *forks)
{
    struct userfault *u;

    list_for_each(u, forks, fork_link) {
        if (u->parent == parent)
            return u;
    }
    u = userfault_create(parent->flags);
    if (u == NULL)
        return NULL;
    space_drop(u->space);
    u->space = child;
    space_hold(child);
    u->features = parent->features;
    u->parent = parent;
    userfault_get(parent);
    atomic_add(&parent->changing, 1);
    list_add_tail(forks, &u->fork_link);
    return u;
}

int userfault_fork_vma(const struct vma *v, struct vma *copy, struct space *child, struct list *forks)
{
    copy->userfault = NULL;
    if (!wants(v, UFFD_FEATURE_EVENT_FORK)) {
        copy->flags &= ~(u32)VMA_USERFAULT;
        return 0;
    }
    copy->userfault = context_of_child(v->userfault, child, forks);
    return copy->userfault != NULL ? 0 : -ENOMEM;
}

void userfault_forked(struct list *forks)
{
    struct userfault *u, *next;

    list_for_each_safe(u, next, forks, fork_link) {
        struct userfault_wait w = {.message.event = UFFD_EVENT_FORK, .forked = u};
        struct userfault *parent = u->parent;

        list_remove(&u->fork_link);
        userfault_send(parent, &w);
        if (w.forked != NULL)
            userfault_close(u); /* nobody will ever serve it */
        else
            userfault_put(u);
        userfault_put(parent);
    }
}

void userfault_fork_failed(struct list *forks)
{
    struct userfault *u, *next;

    list_for_each_safe(u, next, forks, fork_link) {
        list_remove(&u->fork_link);
        atomic_sub(&u->parent->changing, 1);
        userfault_put(u->parent);
        userfault_put(u);
    }
}

/* ---- mappings ---- */

static struct vma *make_notice(struct userfault *u, u32 kind, u64 start, u64 end)
{
    struct vma *notice = vma_alloc();

    if (notice == NULL)
        return NULL;
    *notice = (struct vma){.flags = kind, .start = start, .end = end, .userfault = u};
    userfault_get(u);
    atomic_add(&u->changing, 1);
    return notice;
}

void userfault_drop_notice(struct vma *notice)
{
    if (notice == NULL)
        return;
    atomic_sub(&notice->userfault->changing, 1);
    userfault_put(notice->userfault);
    notice->userfault = NULL;
    notice->flags = 0;
}

static bool is_noted(const struct userfault *u, u64 start, u64 end, struct list *removed)
{
    struct vma *notice;

    list_for_each(notice, removed, removed_link) {
        if ((notice->flags & VMA_NOTICE_UNMAP) && notice->userfault == u && notice->start == start &&
            notice->end == end)
            return true;
    }
    return false;
}

int userfault_note_unmap(struct space *s, u64 start, u64 end, struct list *removed)
{
    for (struct vma *v = vma_find(s, start), *notice; v != NULL && v->start < end; v = v->above) {
        if (!wants(v, UFFD_FEATURE_EVENT_UNMAP) || is_noted(v->userfault, start, end, removed))
            continue;
        notice = make_notice(v->userfault, VMA_NOTICE_UNMAP, start, end);
        if (notice == NULL)
            return -ENOMEM;
        list_add_tail(removed, &notice->removed_link);
    }
    return 0;
}

int userfault_note_remap(struct vma *copy, u64 from, u64 to, u64 length, struct list *removed, struct vma **notice)
{
    if (!wants(copy, UFFD_FEATURE_EVENT_REMAP)) {
        copy->flags &= ~(u32)VMA_USERFAULT;
        copy->userfault = NULL;
        return 0;
    }
    *notice = make_notice(copy->userfault, VMA_NOTICE_REMAP, from, from + length);
    if (*notice == NULL)
        return -ENOMEM;
    (*notice)->offset = to;
    list_add_tail(removed, &(*notice)->removed_link);
    return 0;
}

void userfault_deliver(struct vma *notice)
{
    struct userfault_wait w = {.message = {0}};

    if (notice->flags & VMA_NOTICE_REMAP) {
        w.message.event = UFFD_EVENT_REMAP;
        w.message.remap.from = notice->start;
        w.message.remap.to = notice->offset;
        w.message.remap.length = notice->end - notice->start;
    } else {
        w.message.event = UFFD_EVENT_UNMAP;
        w.message.remove.start = notice->start;
        w.message.remove.end = notice->end;
    }
    userfault_send(notice->userfault, &w);
    userfault_put(notice->userfault);
    notice->userfault = NULL;
}

/* ---- pages ---- */

static void announce(struct userfault *u, u64 start, u64 end)
{
    struct userfault_wait w = {.message = {0}};

    w.message.event = UFFD_EVENT_REMOVE;
    w.message.remove.start = start;
    w.message.remove.end = end;
    userfault_send(u, &w);
    userfault_put(u);
}

bool userfault_removing(struct space *s, struct vma *v, u64 start, u64 end)
{
    struct userfault *u = v->userfault;

    if (!wants(v, UFFD_FEATURE_EVENT_REMOVE))
        return false;
    userfault_get(u);
    atomic_add(&u->changing, 1);
    read_unlock(&s->lock);
    announce(u, start, end);
    read_lock(&s->lock);
    return true;
}

void userfault_announce_remove(struct space *s, u64 start, u64 end)
{
    struct vma *v;

    read_lock(&s->lock);
    v = vma_at(s, start);
    if (v != NULL)
        (void)userfault_removing(s, v, start, MIN(end, v->end));
    read_unlock(&s->lock);
}
