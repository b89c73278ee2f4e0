/*
 * Khugepaged: a kernel thread that looks for memory that was touched page by page and would make huge pages. Settings
 * and figures are those of /sys/kernel/mm/transparent_hugepage/khugepaged.
 */
#ifndef VM_KHUGEPAGED_H
#define VM_KHUGEPAGED_H

#include "vm/vma.h"

void khugepaged_register(struct space *s);
/* S has, or is about to have, small pages where a huge one would be allowed: from now on the thread comes by. */
static inline void khugepaged_note(struct space *s)
{
    if (unlikely(!load_relaxed(&s->is_scanned)))
        khugepaged_register(s);
}
/* S goes away: the thread has left it after this. => no locks */
void khugepaged_forget(struct space *s);

#endif
