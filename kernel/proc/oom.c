/*
 * Out of memory: the process that gives back most is killed, with one line that says so.
 *
 * A fault that finds no page even after reclaim comes here, and tries again afterwards. While a victim is on its way
 * out nobody else is chosen, unless it takes too long: it may wait for something that needs memory itself. Before
 * anybody is killed, a swapoff that is under way is given up.
 */
#include "lib/print.h"
#include "proc/internal.h"
#include "vm/space.h"
#include "vm/swapdev.h"
#include "vm/vm.h"

#define GIVE_TIME_NS (5 * NSEC_PER_MSEC)
#define TOO_LONG_NS (10 * NSEC_PER_SEC)
#define SCORE_NEVER (-1000)

static struct {
    struct mutex lock;
    int victim; /* its pid, for a reference would keep the dead; 0 = none yet */
    u64 since;
} oom = {.lock = MUTEX_INIT(oom.lock)};

/* Pages that would come free, shifted by oom_score_adj, a thousandth of all memory each. 0: not to be killed. */
static u64 badness(struct process *p, u64 all_pages, u64 *pages)
{
    struct space *space = process_space(p);
    struct space_stats stats;
    s64 score;

    if (space == NULL)
        return 0;
    space_stats(space, &stats);
    space_put(space);
    *pages = stats.rss_anon + stats.rss_shmem + stats.rss_file + stats.swap + stats.tables_bytes / PAGE_SIZE;
    if (p == init_process || p->oom_score_adj <= SCORE_NEVER)
        return 0;
    score = (s64)*pages + p->oom_score_adj * (s64)(all_pages / 1000);
    return score < 1 ? 1 : (u64)score;
}

/* What it has comes free without a victim, sooner or later. */
static bool is_on_its_way_out(const struct process *p)
{
    return p != init_process && !load_relaxed(&p->is_zombie) && (p->is_group_exit || load_relaxed(&p->n_live) == 0);
}

/* Referenced, or NULL; *DYING: some process is on its way out. */
static struct process *choose(u64 *victim_pages, bool *dying)
{
    struct process *p, *worst = NULL;
    struct memory_stats m;
    u64 highest = 0;

    memory_stats(&m);
    for (int pid = 0; (p = process_next(&pid)) != NULL; pid++) {
        u64 pages = 0, score = badness(p, m.total, &pages);

        *dying |= is_on_its_way_out(p);
        if (score > highest && !p->is_group_exit) {
            if (worst != NULL)
                process_put(worst);
            highest = score;
            worst = p;
            *victim_pages = pages;
        } else {
            process_put(p);
        }
    }
    return worst;
}

static bool is_dying(void)
{
    struct process *p = oom.victim != 0 && time_ns() - oom.since < TOO_LONG_NS ? process_find(oom.victim) : NULL;
    bool dying = p != NULL && !load_relaxed(&p->is_zombie);

    if (p != NULL)
        process_put(p);
    return dying;
}

/* => oom.lock */
static void kill_one(void)
{
    u64 pages = 0;
    bool dying = false;
    struct process *p = choose(&pages, &dying);
    struct task *leader;

    if (p == NULL && dying)
        return;
    if (p == NULL)
        panic("out of memory, and nothing to kill");
    oom.victim = process_pid(p);
    oom.since = time_ns();
    leader = process_leader(p);
    kprintf("out of memory: killed process %d (%s), which had %lu KiB", process_pid(p),
            leader != NULL ? leader->thread.name : "?", pages * (PAGE_SIZE / KIB));
    if (leader != NULL)
        task_put(leader);
    signal_send_process(p, SIGKILL);
    process_put(p);
}

static void out_of_memory(void)
{
    mutex_lock(&oom.lock);
    if (!is_dying() && !fatal_signal_pending() && !swapdev_end_removal())
        kill_one();
    mutex_unlock(&oom.lock);
    if (fatal_signal_pending())
        return;
    store_relaxed(&current->state, THREAD_KILLABLE);
    schedule_until(time_ns() + GIVE_TIME_NS);
    store_relaxed(&current->state, THREAD_RUNNABLE);
}

void oom_init(void) { vm_set_out_of_memory(out_of_memory); }
