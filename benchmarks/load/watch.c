/* What the system says of processes, and how long the disk takes. */
#define _GNU_SOURCE
#include "load.h"

#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

/* Adds up the CPU seconds and resident bytes of --watch's processes. */
void tg_watch(double *cpu_s, double *rss_bytes) {
    *cpu_s = *rss_bytes = 0;
    for (const char *at = tg_options.watch; at != NULL && *at;) {
        char *end, path[64], line[1024];
        long pid = strtol(at, &end, 10);
        if (end == at) tg_die("--watch takes process ids with commas between");
        at = *end == ',' ? end + 1 : end;
        snprintf(path, sizeof path, "/proc/%ld/stat", pid);
        FILE *file = fopen(path, "r");
        if (file == NULL) continue; /* it has ended */
        size_t count = fread(line, 1, sizeof line - 1, file);
        fclose(file);
        line[count] = 0;
        const char *after = strrchr(line, ')'); /* the name may hold anything */
        unsigned long long user = 0, system = 0;
        long long pages = 0;
        if (after == NULL ||
            sscanf(after + 1, " %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %llu %llu %*d %*d %*d %*d"
                              " %*d %*d %*u %*u %lld", &user, &system, &pages) != 3)
            continue;
        *cpu_s += (double)(user + system) / (double)sysconf(_SC_CLK_TCK);
        *rss_bytes += (double)pages * (double)sysconf(_SC_PAGESIZE);
    }
}

/* Times an append of 1 kB and its fdatasync, as a journal does them: again and again, or `rate` times a second,
 * which is another thing: a processor that rested begins with cold caches, and in a virtual machine with none. */
void tg_sync(void) {
    static struct tg_histogram histogram;
    static char block[1024];
    int fd = tg_options.file ? open(tg_options.file, O_CREAT | O_TRUNC | O_WRONLY | O_APPEND, 0600) : -1;
    if (fd < 0) tg_die("--file FILE is needed: %s", strerror(errno));
    uint64_t began = tg_now(), end = began + (uint64_t)(tg_options.seconds * 1e9);
    for (uint64_t before = began; before < end;) {
        if (tg_options.rate > 0) {
            struct timespec rest = {0, (long)(1e9 / fmax(tg_options.rate, 2.0))};
            nanosleep(&rest, NULL);
            before = tg_now();
        }
        memset(block, (int)(before & 255), sizeof block);
        if (write(fd, block, sizeof block) != sizeof block || fdatasync(fd))
            tg_die("%s: %s", tg_options.file, strerror(errno));
        uint64_t after = tg_now();
        tg_record(&histogram, after - before);
        before = after;
    }
    close(fd);
    unlink(tg_options.file);
    printf("{\"mode\": \"sync\", \"syncs\": %llu, ", (unsigned long long)histogram.total);
    tg_print_latencies(&histogram);
    printf("}\n");
}
