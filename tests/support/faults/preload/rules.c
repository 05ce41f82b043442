/* Faults between a program and its files: a library for LD_PRELOAD.
 *
 * It stands before the C library's calls that read, write, sync, make, rename and remove files below
 * one folder, and before those that send on internet sockets. A page shared with the test (layer.py)
 * counts the calls, and holds rules: at the nth call of a kind die, fail, write less, wait, or pretend.
 * What the program does to its files is also written down, call by call, in a recording, from which
 * disk.py works out what a loss of power would have left.
 *
 *     FAULTS_PREFIX     the folder, an absolute path without links
 *     FAULTS_CONTROL    file of the shared page
 *     FAULTS_RECORDING  file of the recording; none is made if it is not set
 *
 * The real calls are made with syscall(2): nothing is looked up, so it works before and after main.
 * What a program does with raw system calls, io_uring, mmap or stdio's own buffers goes past it; a test
 * finds that out by comparing the recording with the files.
 *
 * In this file: how the library begins, and the rules.
 */
#include "shared.h"

#include <fcntl.h>
#include <fnmatch.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>

struct control *control;
char prefix[PATH_MAX];
size_t prefix_bytes;
int recording = -1;
pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
uint64_t sequence;

static void die(void)
{
    syscall(SYS_kill, syscall(SYS_getpid), SIGKILL);
    for (;;) syscall(SYS_pause);
}

static void wait_ns(uint64_t ns)
{
    struct timespec left = {(time_t)(ns / 1000000000u), (long)(ns % 1000000000u)};
    while (syscall(SYS_nanosleep, &left, &left) && errno == EINTR) {
    }
}

struct verdict judge(enum kind kind, enum when when, const char *name)
{
    struct verdict verdict = {NOTHING, 0};
    if (!control) return verdict;
    if (when == BEFORE) atomic_fetch_add(&control->counts[kind], 1);
    int kept = errno;
    for (int i = 0; i < RULES; i++) {
        struct rule *rule = &control->rules[i];
        if (!atomic_load_explicit(&rule->armed, memory_order_acquire)) continue;
        if (rule->kind != kind || rule->when != when || fnmatch(rule->name, name, 0)) continue;
        uint64_t n = atomic_fetch_add(&rule->seen, 1) + 1;
        if (n < rule->nth || (rule->count && n >= rule->nth + rule->count)) continue;
        atomic_fetch_add(&rule->fired, 1);
        if (rule->action == KILL) die();
        if (rule->action == DELAY)
            wait_ns(rule->argument);
        else if (verdict.action == NOTHING)
            verdict = (struct verdict){(enum action)rule->action, rule->argument};
    }
    errno = kept;
    return verdict;
}

__attribute__((constructor)) static void begin(void)
{
    const char *folder = getenv("FAULTS_PREFIX"), *page = getenv("FAULTS_CONTROL");
    const char *log = getenv("FAULTS_RECORDING");
    if (!folder || !page || strlen(folder) >= sizeof prefix) return;
    strcpy(prefix, folder);
    prefix_bytes = strlen(prefix);
    int fd = (int)syscall(SYS_openat, AT_FDCWD, page, O_RDWR | O_CLOEXEC, 0);
    void *mapped = mmap(NULL, sizeof *control, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (fd < 0 || mapped == MAP_FAILED) _exit(98);
    syscall(SYS_close, fd);
    if (log) {
        fd = (int)syscall(SYS_openat, AT_FDCWD, log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
        /* Out of the way of programs that close or choose low numbers. */
        recording = (int)syscall(SYS_fcntl, fd, F_DUPFD_CLOEXEC, 700);
        syscall(SYS_close, fd);
        if (recording < 0) _exit(98);
    }
    control = mapped;
    atomic_store(&control->magic, MAGIC);
}
