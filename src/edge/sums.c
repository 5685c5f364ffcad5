#include "edge/sums.h"
#include <stdio.h>
#include <time.h>
#include <unistd.h>
#include "bus/seat.h"

static void add(uint64_t *sum, const struct counter *c)
{
    *sum += counter_read(c);
}

static void add_histogram(struct sums_histogram *sum, const struct histogram *h)
{
    for (unsigned i = 0; i < HISTOGRAM_BUCKETS; i++)
        add(&sum->buckets[i], &h->buckets[i]);
    add(&sum->sum_us, &h->sum_us);
}

static void add_worker(struct sums *s, const struct worker *w)
{
    const struct hub_stats *hub = hub_stats(w->hub);
    const struct bus_seat_stats *seat = bus_seat_stats(w->seat);
    add(&s->conns, &w->stats.conns);
    add(&s->accepted, &w->stats.accepted);
    add(&s->sockets, &hub->sockets);
    add(&s->subscriptions, &hub->subscriptions);
    add(&s->delivered, &hub->delivered);
    add(&s->too_many, &hub->too_many);
    add(&s->long_names, &hub->long_names);
    add(&s->received, &w->net.stats.received);
    add(&s->sent, &w->net.stats.sent);
    add(&s->queues, &w->net.stats.queues);
    add(&s->publishes_refused, &seat->refused);
    for (unsigned i = 0; i < MSG_KINDS; i++)
        add(&s->publishes[i], &seat->published[i]);
    for (unsigned i = 0; i < REASONS; i++)
        add(&s->closes[i], &w->stats.closes[i]);
    for (unsigned i = 0; i < WORKER_STATUSES; i++)
        add(&s->replies[i], &w->stats.replies[i]);
    add_histogram(&s->publish_to_write, &w->stats.publish_to_write);
    add_histogram(&s->turns, &w->loop.turns);
}

void sums_take(struct sums *out, const struct node *n)
{
    *out = (struct sums){0};
    for (unsigned i = 0; i < n->n_workers; i++) {
        add_worker(out, n->workers[i]);
        out->inboxes += atomic_load_explicit(&n->unread_bytes[i], memory_order_relaxed);
    }
}

uint64_t sums_resident_bytes(void)
{
    unsigned long pages = 0;
    FILE *f = fopen("/proc/self/statm", "re");
    if (f) {
        if (fscanf(f, "%*u %lu", &pages) != 1)
            pages = 0;
        fclose(f);
    }
    return (uint64_t)pages * (uint64_t)sysconf(_SC_PAGESIZE);
}

int64_t sums_cpu_us(void)
{
    struct timespec cpu;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &cpu);
    return (int64_t)cpu.tv_sec * 1000000 + cpu.tv_nsec / 1000;
}
