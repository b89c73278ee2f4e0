/* Processes: memory, look-up, iteration and accounting. */
#include "proc/internal.h"
#include "sched/sched.h"
#include "vm/kmalloc.h"
#include "vm/space.h"

u64 n_processes, n_forks;
struct process *init_process;
struct list all_processes = LIST_INIT(all_processes); /* struct process.all_link; task_lock */

u64 process_count(void)
{
    proc_reap_dead();
    return load_relaxed(&n_processes);
}

u64 fork_count(void) { return load_relaxed(&n_forks); }

struct process *process_alloc(void)
{
    struct process *p = kzalloc(sizeof(*p));

    if (p == NULL)
        return NULL;
    p->refs = 1;
    list_init(&p->sibling_link);
    list_init(&p->children);
    list_init(&p->group_link);
    list_init(&p->session_link);
    list_init(&p->all_link);
    list_init(&p->threads);
    list_init(&p->ptimers);
    spin_init(&p->signal_lock);
    sigpending_init(&p->pending);
    wait_queue_init(&p->exec_wait);
    wait_queue_init(&p->wait_children);
    wait_queue_init(&p->ended);
    itimers_init(p);
    atomic_add_relaxed(&n_processes, 1);
    return p;
}

void process_put(struct process *p)
{
    if (atomic_sub(&p->refs, 1) > 0)
        return;
    sigpending_flush(&p->pending);
    if (p->sighand != NULL)
        sighand_put(p->sighand);
    if (p->user != NULL)
        user_put(p->user);
    end_work_put(p->end_work); /* of a child that could not be made: it never ran */
    kfree(p);
    atomic_sub(&n_processes, 1);
}

/* ---- what is left to do at the end ---- */

struct end_work *process_end_work(struct process *p, void (*end)(struct end_work *))
{
    struct end_work *work = load_acquire(&p->end_work), *none = NULL;

    if (work == NULL) {
        work = kzalloc(sizeof(*work));
        if (work == NULL)
            return NULL;
        work->refs = 1;
        list_init(&work->items);
        if (!atomic_cas(&p->end_work, &none, work)) { /* another thread was faster */
            kfree(work);
            work = none;
        }
    }
    if (end != NULL)
        store_relaxed(&work->end, end);
    return work;
}

void end_work_put(struct end_work *work)
{
    if (work == NULL || atomic_sub(&work->refs, 1) > 0)
        return;
    if (work->end != NULL)
        work->end(work);
    kfree(work);
}

/* ---- ids: those of the current process are stable, but group and session may be changed by others ---- */

static int number_of(struct pid *const *pid)
{
    u64 flags = spin_lock_irqsave(&task_lock);
    int number = *pid != NULL ? (*pid)->number : 0;

    spin_unlock_irqrestore(&task_lock, flags);
    return number;
}

int process_pid(const struct process *p)
{
    return is_user_thread(current) && p == current_process() ? p->pid->number : number_of(&p->pid);
}

int process_group_id(const struct process *p) { return number_of(&p->group); }
int process_session_id(const struct process *p) { return number_of(&p->session); }

int process_parent_id(const struct process *p)
{
    u64 flags = spin_lock_irqsave(&task_lock);
    int number = p->parent != NULL && p->parent->pid != NULL ? p->parent->pid->number : 0;

    spin_unlock_irqrestore(&task_lock, flags);
    return number;
}

/* ---- look-up ---- */

struct process *process_find(int number)
{
    u64 flags = spin_lock_irqsave(&task_lock);
    struct pid *pid = pid_lookup(number);
    struct process *p = pid != NULL && pid->task != NULL ? pid->task->process : NULL;

    if (p != NULL)
        process_get(p);
    spin_unlock_irqrestore(&task_lock, flags);
    return p;
}

struct process *process_next(int *number)
{
    u64 flags = spin_lock_irqsave(&task_lock);
    struct process *found = NULL;
    u64 from = (u64)(*number < 0 ? 0 : *number);
    struct pid *pid;

    while ((pid = pid_next(from)) != NULL && found == NULL) {
        if (pid->task != NULL && pid->task->process->pid == pid) {
            found = pid->task->process;
            process_get(found);
            *number = pid->number;
        }
        from = (u64)pid->number + 1;
    }
    spin_unlock_irqrestore(&task_lock, flags);
    return found;
}

struct task *process_next_thread(struct process *p, int *tid)
{
    u64 flags = spin_lock_irqsave(&task_lock);
    struct task *t, *found = NULL;

    list_for_each(t, &p->threads, thread_link) {
        if (t->pid->number >= *tid && (found == NULL || t->pid->number < found->pid->number))
            found = t;
    }
    if (found != NULL) {
        task_get(found);
        *tid = found->pid->number;
    }
    spin_unlock_irqrestore(&task_lock, flags);
    return found;
}

struct task *process_leader(struct process *p)
{
    u64 flags = spin_lock_irqsave(&task_lock);
    struct task *t = p->leader;

    if (t != NULL)
        task_get(t);
    spin_unlock_irqrestore(&task_lock, flags);
    return t;
}

/* ---- accounting ---- */

void process_add_usage(struct usage *sum, const struct usage *more)
{
    sum->time.user_ns += more->time.user_ns;
    sum->time.system_ns += more->time.system_ns;
    sum->minor_faults += more->minor_faults;
    sum->major_faults += more->major_faults;
    sum->switches_voluntary += more->switches_voluntary;
    sum->switches_forced += more->switches_forced;
    sum->max_rss = MAX(sum->max_rss, more->max_rss);
}

u64 process_cpu_ns(struct process *p, bool user, bool system)
{
    u64 flags = spin_lock_irqsave(&p->signal_lock);
    u64 sum = (user ? p->dead_threads.time.user_ns : 0) + (system ? p->dead_threads.time.system_ns : 0);
    struct task *t;

    list_for_each(t, &p->threads, thread_link) {
        u64 u, s;

        if (t->is_counted)
            continue;
        sched_account(&t->thread, &u, &s);
        sum += (user ? u : 0) + (system ? s : 0);
    }
    spin_unlock_irqrestore(&p->signal_lock, flags);
    return sum;
}

struct space *process_space(struct process *p)
{
    u64 flags = spin_lock_irqsave(&task_lock);
    struct space *s = NULL;
    struct task *t;

    list_for_each(t, &p->threads, thread_link) {
        if (t->is_exiting || t->thread.space == NULL)
            continue;
        s = t->thread.space;
        space_get(s);
        break;
    }
    spin_unlock_irqrestore(&task_lock, flags);
    return s;
}

static void add_space_usage(struct process *p, struct usage *u)
{
    struct space *s = process_space(p);
    struct space_stats stats;

    if (s == NULL)
        return;
    space_stats(s, &stats);
    space_put(s);
    u->minor_faults += stats.minor_faults;
    u->major_faults += stats.major_faults;
    u->max_rss = MAX(u->max_rss, stats.peak_rss);
}

void process_usage(struct process *p, struct usage *u)
{
    u64 flags = spin_lock_irqsave(&p->signal_lock);
    struct task *t;

    *u = p->dead_threads;
    list_for_each(t, &p->threads, thread_link) {
        struct usage one;

        if (t->is_counted)
            continue;
        task_usage(t, &one);
        process_add_usage(u, &one);
    }
    spin_unlock_irqrestore(&p->signal_lock, flags);
    add_space_usage(p, u);
}
