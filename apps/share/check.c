/*
 * Sequential consistency means: there is one order of all loads and stores of all processes, in which each process's
 * own are in the order of its program, and each load sees the last store before it.
 *
 * Every word has one process that stores to it, counting 1, 2, 3..., so each value says which store it is. Then the
 * order has to obey
 *
 *     1. program order: an operation is after the one before it in its process
 *     2. a load that saw value v is after the store of v
 *     3. ... and before the store of v + 1
 *
 * and such an order exists just when these relations have no circle. They are a graph with three edges for each
 * operation, which is taken apart from its beginnings; what cannot be taken is on a circle, or behind one.
 *
 * Source: P. Gibbons, E. Korach, "Testing Shared Memories", SIAM J. Computing 26(4), 1997, for the case in which each
 * word's order is known.
 */
#define _GNU_SOURCE
#include "check.h"

#include <sched.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>

#define PAGE 4096UL
#define WORDS 8 /* of each process in each page */
#define MOST_PROCESSES 8

struct operation {
    uint32_t word; /* page, owner, index */
    uint32_t value;
    bool is_store;
};

struct history {
    uint32_t count;
    struct operation *operations;
};

struct history *check_histories(int processes, int rounds)
{
    size_t each = (size_t)rounds * sizeof(struct operation);
    char *memory = mmap(NULL, (size_t)processes * (each + sizeof(struct history)), PROT_READ | PROT_WRITE,
                        MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    struct history *histories = (struct history *)memory;

    if (memory == MAP_FAILED)
        return NULL;
    for (int i = 0; i < processes; i++)
        histories[i].operations =
            (struct operation *)(memory + (size_t)processes * sizeof(struct history) + (size_t)i * each);
    return histories;
}

static uint32_t word_number(uint32_t page, uint32_t owner, uint32_t index)
{
    return (page * MOST_PROCESSES + owner) * WORDS + index;
}

/* The owners' words lie side by side: false sharing is what makes pages move. The page's first words are left free. */
static volatile uint32_t *word_at(char *memory, uint32_t page, uint32_t owner, uint32_t index)
{
    return (volatile uint32_t *)(memory + page * PAGE + 64) + index * MOST_PROCESSES + owner;
}

void check_work(struct history *histories, int self, int processes, char *memory, size_t pages, int rounds,
                unsigned seed)
{
    struct history *history = &histories[self];
    uint32_t *last = calloc(pages * WORDS, sizeof(*last));
    uint64_t random = seed * 7919ull + (uint64_t)self * 104729 + 1;

    if (!last) {
        perror("share");
        exit(1);
    }
    for (int i = 0; i < rounds; i++) {
        uint32_t page, index, owner, choice;
        struct operation *operation = &history->operations[i];

        random = random * 6364136223846793005 + 1442695040888963407;
        page = (uint32_t)((random >> 20) % pages);
        index = (uint32_t)(random >> 40) % WORDS;
        choice = (uint32_t)(random >> 50);
        owner = choice % 3 == 0 ? (uint32_t)self : choice / 3 % (uint32_t)processes;
        if (choice % 16 == 0)
            sched_yield(); /* the others shall be amid theirs */
        operation->word = word_number(page, owner, index);
        operation->is_store = owner == (uint32_t)self && (choice / 64 & 1);
        if (operation->is_store) {
            operation->value = ++last[page * WORDS + index];
            *word_at(memory, page, owner, index) = operation->value;
        } else {
            operation->value = *word_at(memory, page, owner, index);
        }
        history->count = (uint32_t)i + 1;
    }
    free(last);
}

/* --- The graph -------------------------------------------------------------------------------------------------------
 */

/* Stores are numbered by word and value, so that a load finds "its" store: the base of each word in a table of nodes.
 */
struct graph {
    uint32_t nodes, words;
    uint32_t *first;  /* of each word in stores */
    uint32_t *stored; /* how many values it got */
    uint32_t *stores; /* node */
    uint32_t *edge, *next_edge, *edges_of, edges;
    uint32_t *waits_for;
};

static void *table(size_t count, size_t bytes)
{
    void *at = calloc(count + 1, bytes);

    if (!at) {
        perror("share");
        exit(1);
    }
    return at;
}

static void add_edge(struct graph *graph, uint32_t from, uint32_t to)
{
    graph->edge[++graph->edges] = to;
    graph->next_edge[graph->edges] = graph->edges_of[from];
    graph->edges_of[from] = graph->edges;
    graph->waits_for[to]++;
}

static void number_stores(struct graph *graph, const struct history *histories, int processes)
{
    uint32_t at = 0, node = 0;

    for (int p = 0; p < processes; p++)
        for (uint32_t i = 0; i < histories[p].count; i++)
            if (histories[p].operations[i].is_store)
                graph->stored[histories[p].operations[i].word]++;
    for (uint32_t w = 0; w < graph->words; w++) {
        graph->first[w] = at;
        at += graph->stored[w];
    }
    for (int p = 0; p < processes; p++)
        for (uint32_t i = 0; i < histories[p].count; i++, node++) {
            const struct operation *operation = &histories[p].operations[i];

            if (operation->is_store)
                graph->stores[graph->first[operation->word] + operation->value - 1] = node;
        }
}

/* False: a load saw what nobody stored. */
static bool add_edges(struct graph *graph, const struct history *histories, int processes)
{
    uint32_t node = 0;

    for (int p = 0; p < processes; p++)
        for (uint32_t i = 0; i < histories[p].count; i++, node++) {
            const struct operation *operation = &histories[p].operations[i];
            const uint32_t *stores = &graph->stores[graph->first[operation->word]];

            if (i > 0)
                add_edge(graph, node - 1, node);
            if (operation->is_store)
                continue;
            if (operation->value > graph->stored[operation->word]) {
                printf("process %d, operation %u: value %u, which nobody stored\n", p, i, operation->value);
                return false;
            }
            if (operation->value > 0)
                add_edge(graph, stores[operation->value - 1], node);
            if (operation->value < graph->stored[operation->word])
                add_edge(graph, node, stores[operation->value]);
        }
    return true;
}

/* How many nodes can be taken, each after all that it waits for. */
static uint32_t take_apart(struct graph *graph)
{
    uint32_t *ready = table(graph->nodes, sizeof(*ready)), count = 0, taken = 0;

    for (uint32_t i = 0; i < graph->nodes; i++)
        if (graph->waits_for[i] == 0)
            ready[count++] = i;
    while (taken < count) {
        uint32_t node = ready[taken++];

        for (uint32_t e = graph->edges_of[node]; e; e = graph->next_edge[e])
            if (--graph->waits_for[graph->edge[e]] == 0)
                ready[count++] = graph->edge[e];
    }
    free(ready);
    return taken;
}

static void say_where(const struct graph *graph, const struct history *histories, int processes)
{
    uint32_t node = 0;

    for (int p = 0; p < processes; p++)
        for (uint32_t i = 0, said = 0; i < histories[p].count; i++, node++)
            if (graph->waits_for[node] && !said++)
                printf("process %d: no order from operation %u of %u on\n", p, i, histories[p].count);
}

bool check_consistent(struct history *histories, int processes)
{
    struct graph graph = {0};
    uint32_t most_words = 0;
    bool good;

    for (int p = 0; p < processes; p++)
        for (uint32_t i = 0; i < histories[p].count; i++, graph.nodes++)
            if (histories[p].operations[i].word >= most_words)
                most_words = histories[p].operations[i].word + 1;
    graph.words = most_words;
    graph.first = table(most_words, sizeof(uint32_t));
    graph.stored = table(most_words, sizeof(uint32_t));
    graph.stores = table(graph.nodes, sizeof(uint32_t));
    graph.edge = table(3 * (size_t)graph.nodes, sizeof(uint32_t));
    graph.next_edge = table(3 * (size_t)graph.nodes, sizeof(uint32_t));
    graph.edges_of = table(graph.nodes, sizeof(uint32_t));
    graph.waits_for = table(graph.nodes, sizeof(uint32_t));
    number_stores(&graph, histories, processes);
    good = add_edges(&graph, histories, processes);
    if (good && take_apart(&graph) != graph.nodes) {
        say_where(&graph, histories, processes);
        good = false;
    }
    free(graph.first), free(graph.stored), free(graph.stores), free(graph.edge);
    free(graph.next_edge), free(graph.edges_of), free(graph.waits_for);
    return good;
}
