/*
 * prctl(PR_SET_MDWE): in a space with this, nothing becomes executable that was not so from the beginning, and nothing
 * is writable and executable at once. Source: PR_SET_MDWE(2const).
 */
#include "vm/vma.h"

bool range_gains_exec(struct space *s, const struct vma *v, u64 start, u64 end, unsigned prot)
{
    if (!(prot & PROT_EXEC))
        return false;
    if (prot & PROT_WRITE)
        return true;
    while (start < end) {
        unsigned old;

        start = vma_prot_end(s, v, start, &old);
        if (!(old & PROT_EXEC))
            return true;
    }
    return false;
}

unsigned space_exec_gain(const struct space *s) { return load_relaxed(&s->exec_gain); }

int space_set_exec_gain(struct space *s, unsigned bits)
{
    int result = 0;

    if ((bits & ~(EXEC_GAIN_REFUSED | EXEC_GAIN_NOT_INHERITED)) || bits == EXEC_GAIN_NOT_INHERITED)
        return -EINVAL;
    write_lock(&s->lock);
    if (s->exec_gain != 0 && s->exec_gain != bits)
        result = -EPERM;
    else
        s->exec_gain = (u8)bits;
    if (bits != 0)
        space_count_exactly(s); /* mprotect's quick way does not look at it */
    write_unlock(&s->lock);
    return result;
}

void space_inherit_exec_gain(struct space *child, const struct space *parent)
{
    u8 bits = load_relaxed(&parent->exec_gain);

    child->exec_gain = bits & EXEC_GAIN_NOT_INHERITED ? 0 : bits;
    if (child->exec_gain != 0)
        space_count_exactly(child);
}
