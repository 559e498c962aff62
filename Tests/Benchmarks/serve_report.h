// A part of serve_load: what it prints.
#ifndef SERVE_REPORT_H
#define SERVE_REPORT_H

#include "serve_events.h"

static double percentile(const worker *all, double share) {
    uint64_t rank = all->samples * share, seen = 0;
    for (int bucket = 0; bucket < BUCKETS; bucket++) {
        seen += all->histogram[bucket];
        if (seen > rank) return bucket_value(bucket) / 1e6;
    }
    return all->highest / 1e6;
}

static int compare(const void *left, const void *right) {
    uint64_t a = *(const uint64_t *)left, b = *(const uint64_t *)right;
    return a < b ? -1 : a > b;
}

// Clients that were not looked into got as much as those that were, if their bytes say so.
static void count_unchecked(worker *all) {
    uint64_t *sizes = room(sizeof *sizes * options.connections);
    uint64_t *counts = room(sizeof *counts * options.connections);
    int checked = 0;
    for (int index = 0; index < options.threads; index++)
        for (int each = 0; each < workers[index].count; each++) {
            client *it = &workers[index].clients[each];
            if (!it->checked || it->slow) continue;
            sizes[checked] = it->bytes;
            counts[checked++] = it->count;
        }
    if (checked == 0) return;
    qsort(sizes, checked, sizeof *sizes, compare);
    qsort(counts, checked, sizeof *counts, compare);
    for (int index = 0; index < options.threads; index++)
        for (int each = 0; each < workers[index].count; each++) {
            client *it = &workers[index].clients[each];
            if (it->checked || it->slow || !it->packed) continue;
            if (it->bytes > sizes[checked / 2] * 0.8 && it->bytes < sizes[checked / 2] * 1.25)
                all->deliveries += counts[checked / 2];
            else fault(all, "%llu bytes where another client had %llu",
                       (unsigned long long)it->bytes, (unsigned long long)sizes[checked / 2]);
        }
    free(sizes);
    free(counts);
}

/* What all workers saw together. */
static void gather(worker *all) {
    for (int index = 0; index < options.threads; index++) {
        worker *it = &workers[index];
        uint64_t *sums = &all->deliveries, *parts = &it->deliveries;
        for (size_t each = 0; each <= (size_t)(&all->slow_missed - sums); each++)
            sums[each] += parts[each];
        for (int bucket = 0; bucket < BUCKETS; bucket++)
            all->histogram[bucket] += it->histogram[bucket];
        all->samples += it->samples;
        if (it->highest > all->highest) all->highest = it->highest;
        if (it->cpu_first && (!all->cpu_first || it->cpu_first < all->cpu_first))
            all->cpu_first = it->cpu_first;
        if (it->first && (!all->first || it->first < all->first)) all->first = it->first;
        if (it->newest > all->newest) all->newest = it->newest;
        if (it->error[0] && !all->error[0]) memcpy(all->error, it->error, sizeof it->error);
        if (options.expect > 0)
            for (int each = 0; each < it->count; each++) {
                client *one = &it->clients[each];
                if (one->slow || one->reached) continue;
                bool is_counted = one->packed && !one->checked;
                if (is_counted && options.transport != WS) continue;
                uint64_t got = is_counted ? one->count : one->last;
                if (got >= options.expect) continue;
                all->lost += options.expect - got;
                if (!all->error[0])
                    snprintf(all->error, sizeof all->error, "nothing behind n=%llu",
                             (unsigned long long)got);
            }
    }
}

static int report(double cpu) {
    worker *all = &(worker){0};
    gather(all);
    if (options.gzip && options.transport != WS) count_unchecked(all);
    double seconds = (all->newest - all->first) / 1e9;
    bool is_bad = all->lost || all->doubled || all->disordered || all->gap_wrong;
    for (char *at = all->error; *at; at++) if (*at == '"' || *at == '\\' || *at < ' ') *at = '\'';
    printf("{\"connections\":%d,\"up\":%d,\"connect_seconds\":%.3f,\"deliveries\":%llu,"
           "\"bytes\":%llu,\"seconds\":%.6f,\"deliveries_per_second\":%.0f,",
           options.connections, atomic_load(&up_count),
           all_up_at ? (all_up_at - began_at) / 1e9 : 0, (unsigned long long)all->deliveries,
           (unsigned long long)all->bytes, seconds, seconds > 0 ? all->deliveries / seconds : 0);
    printf("\"lost\":%llu,\"doubled\":%llu,\"disordered\":%llu,\"gaps_told\":%llu,"
           "\"gap_missed\":%llu,\"gap_wrong\":%llu,",
           (unsigned long long)all->lost, (unsigned long long)all->doubled,
           (unsigned long long)all->disordered, (unsigned long long)all->gaps,
           (unsigned long long)all->told_missed, (unsigned long long)all->gap_wrong);
    printf("\"latency_ms\":{\"samples\":%llu,\"p50\":%.3f,\"p90\":%.3f,\"p99\":%.3f,"
           "\"p999\":%.3f,\"max\":%.3f},", (unsigned long long)all->samples, percentile(all, 0.5),
           percentile(all, 0.9), percentile(all, 0.99), percentile(all, 0.999),
           all->highest / 1e6);
    printf("\"accepts\":%llu,\"accepts_per_second\":%.0f,\"reconnects\":%llu,\"replay_gaps\":%llu,",
           (unsigned long long)all->accepts, seconds > 0 ? all->accepts / seconds : 0,
           (unsigned long long)all->reconnects, (unsigned long long)all->replay_gaps);
    printf("\"slow_deliveries\":%llu,\"slow_untold\":%llu,\"slow_gaps\":%llu,"
           "\"slow_missed\":%llu,", (unsigned long long)all->slow_deliveries,
           (unsigned long long)all->slow_untold, (unsigned long long)all->slow_gaps,
           (unsigned long long)all->slow_missed);
    printf("\"ends\":%llu,\"closed\":%llu,\"refused\":%llu,\"heartbeats\":%llu,\"stray\":%llu,"
           "\"cpu_seconds\":%.3f,\"delivery_cpu_seconds\":%.3f,\"errors\":%llu,\"error\":\"%s\"}\n",
           (unsigned long long)all->ends, (unsigned long long)all->closed,
           (unsigned long long)all->refused, (unsigned long long)all->heartbeats,
           (unsigned long long)all->stray, cpu,
           all->cpu_first ? cpu - all->cpu_first : 0, (unsigned long long)all->errors, all->error);
    return is_bad ? 1 : 0;
}

#endif
