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
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <fnmatch.h>
#include <limits.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#define EXPORT __attribute__((visibility("default")))
#define ALIAS(name) __attribute__((visibility("default"), alias(name)))

/* The order of these is known to layer.py. */
enum kind { WRITE, SYNC, DIRSYNC, CREATE, OPEN, RENAME, UNLINK, TRUNCATE, READ, SEND, MKDIR, KINDS };
enum when { BEFORE, AFTER };
enum action { NOTHING, KILL, FAIL, SHORT, DELAY, SWALLOW };

#define RULES 16
#define NAME_BYTES 64
#define MAGIC 0x7466617530303031u

struct rule {
    _Atomic uint64_t armed;
    uint64_t kind, when, action;
    uint64_t nth;      /* from which matching call on, the first being 1 */
    uint64_t count;    /* for how many; 0: for all */
    uint64_t argument; /* FAIL: errno; SHORT: bytes that are written; DELAY: nanoseconds */
    _Atomic uint64_t seen, fired;
    char name[NAME_BYTES]; /* pattern of the file's name */
};

struct control {
    _Atomic uint64_t magic;
    _Atomic uint64_t counts[16];
    struct rule rules[RULES];
};

static struct control *control;
static char prefix[PATH_MAX];
static size_t prefix_bytes;
static int recording = -1;

/* Taken around a change and the recording of it, so that the two have the same order. */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static uint64_t sequence;

/* Files below the folder that were opened, by inode: this holds for descriptors of every origin. */
#define FILES 8192
static struct file {
    dev_t device;
    ino_t inode;
    char name[NAME_BYTES];
} files[FILES];

/* ---- the recording -------------------------------------------------------------------------- */

/* Kinds of entries; disk.py reads them. */
enum entry {
    E_CREATED = 1, E_OPENED, E_WRITE, E_TRUNCATE, E_SYNC_OK, E_SYNC_FAILED, E_RENAME, E_UNLINK,
    E_MKDIR, E_RMDIR, E_DIRSYNC, E_ALLOCATE, E_LINK
};

struct header {
    uint32_t entry, name_bytes;
    uint64_t sequence, inode, offset, length, data_bytes;
};

static void put(const void *data, size_t n)
{
    while (n) {
        long done = syscall(SYS_write, recording, data, n);
        if (done < 0) {
            if (errno == EINTR) continue;
            static const char message[] = "faults: the recording cannot be written\n";
            syscall(SYS_write, 2, message, sizeof message - 1);
            _exit(99);
        }
        data = (const char *)data + done;
        n -= (size_t)done;
    }
}

/* With the lock taken. */
static void record(enum entry entry, uint64_t inode, uint64_t offset, uint64_t length, const char *name,
                   size_t name_bytes, const struct iovec *data, size_t data_bytes)
{
    if (recording < 0) return;
    int kept = errno;
    struct header head = {entry, (uint32_t)name_bytes, ++sequence, inode, offset, length, data_bytes};
    put(&head, sizeof head);
    put(name, name_bytes);
    for (; data_bytes; data++) {
        size_t n = data->iov_len < data_bytes ? data->iov_len : data_bytes;
        put(data->iov_base, n);
        data_bytes -= n;
    }
    errno = kept;
}

/* ---- rules ---------------------------------------------------------------------------------- */

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

struct verdict {
    enum action action;
    uint64_t argument;
};

/* Apply the rules of one call, at one side of it. What the call itself has to do is returned. */
static struct verdict judge(enum kind kind, enum when when, const char *name)
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

/* ---- which files ---------------------------------------------------------------------------- */

/* Make a path absolute and plain (the folder has no links in it); say whether it is below the folder. */
static int below(int folder, const char *path, char out[PATH_MAX])
{
    char base[PATH_MAX] = "";
    if (!control || !path) return 0;
    if (path[0] != '/') {
        if (folder == AT_FDCWD) {
            if (syscall(SYS_getcwd, base, sizeof base) < 0) return 0;
        } else {
            char link[64];
            snprintf(link, sizeof link, "/proc/self/fd/%d", folder);
            long n = syscall(SYS_readlink, link, base, sizeof base - 1);
            if (n < 0) return 0;
            base[n] = 0;
        }
    }
    size_t n = 0;
    const char *parts[2] = {base, path};
    for (int p = 0; p < 2; p++) {
        for (const char *c = parts[p]; *c;) {
            size_t size = strcspn(c, "/");
            if (size == 2 && c[0] == '.' && c[1] == '.') {
                while (n && out[--n] != '/') {
                }
            } else if (size && !(size == 1 && c[0] == '.')) {
                if (n + size + 2 > PATH_MAX) return 0;
                out[n++] = '/';
                memcpy(out + n, c, size);
                n += size;
            }
            c += size + (c[size] == '/');
        }
    }
    out[n] = 0;
    return !strncmp(out, prefix, prefix_bytes) && (out[prefix_bytes] == '/' || !out[prefix_bytes]);
}

static const char *last_part(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash ? slash + 1 : path;
}

static struct file *find(dev_t device, ino_t inode, int make)
{
    size_t i = (size_t)inode * 0x9E3779B97F4A7C15u >> 51;
    for (size_t n = 0; n < FILES; n++, i = (i + 1) % FILES) {
        if (files[i].inode == inode && files[i].device == device) return &files[i];
        if (!files[i].inode) {
            if (!make) return NULL;
            files[i].device = device;
            files[i].inode = inode;
            return &files[i];
        }
    }
    static const char message[] = "faults: too many files\n";
    syscall(SYS_write, 2, message, sizeof message - 1);
    _exit(99);
}

static void name_file(struct file *file, const char *path)
{
    const char *name = last_part(path);
    size_t n = strlen(name);
    if (n >= sizeof file->name) n = sizeof file->name - 1;
    memcpy(file->name, name, n);
    file->name[n] = 0;
}

enum what { OTHER, STORED, FOLDER, SOCKET };

struct known {
    enum what what;
    struct stat status;
    char name[NAME_BYTES];
};

static int is_internet(int fd)
{
    int family = 0;
    socklen_t n = sizeof family;
    return !getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &family, &n) && (family == AF_INET || family == AF_INET6);
}

static struct known look(int fd)
{
    struct known known = {.what = OTHER, .name = ""};
    if (!control) return known;
    int kept = errno;
    if (syscall(SYS_fstat, fd, &known.status) == 0) {
        if (S_ISSOCK(known.status.st_mode)) {
            if (is_internet(fd)) known.what = SOCKET;
        } else if (S_ISREG(known.status.st_mode) || S_ISDIR(known.status.st_mode)) {
            pthread_mutex_lock(&lock);
            struct file *file = find(known.status.st_dev, known.status.st_ino, 0);
            if (file && file->name[0]) {
                known.what = S_ISDIR(known.status.st_mode) ? FOLDER : STORED;
                memcpy(known.name, file->name, sizeof known.name);
            }
            pthread_mutex_unlock(&lock);
        }
    }
    errno = kept;
    return known;
}

static int fails(struct verdict verdict)
{
    if (verdict.action != FAIL) return 0;
    errno = (int)verdict.argument;
    return 1;
}

/* ---- opening -------------------------------------------------------------------------------- */

static int do_open(int folder, const char *path, int flags, mode_t mode)
{
    char full[PATH_MAX];
    int inside = below(folder, path, full);
    struct stat status;
    int nameless = inside && (flags & O_TMPFILE) == O_TMPFILE;
    int is_new = inside && (flags & O_CREAT) && syscall(SYS_stat, full, &status) != 0;
    enum kind kind = is_new || nameless ? CREATE : OPEN;
    if (inside && fails(judge(kind, BEFORE, last_part(full)))) return -1;
    if (inside) pthread_mutex_lock(&lock);
    int fd = (int)syscall(SYS_openat, folder, path, flags, mode);
    if (inside && fd >= 0 && syscall(SYS_fstat, fd, &status) == 0) {
        struct file *file = find(status.st_dev, status.st_ino, 1);
        name_file(file, full);
        if (S_ISREG(status.st_mode)) {
            record(is_new || nameless ? E_CREATED : E_OPENED, status.st_ino, 0, 0, full,
                   nameless ? 0 : strlen(full), NULL, 0);
            if (!is_new && (flags & O_TRUNC)) record(E_TRUNCATE, status.st_ino, 0, 0, "", 0, NULL, 0);
        }
    }
    if (inside) pthread_mutex_unlock(&lock);
    if (!inside && fd >= 0 && control && (flags & O_CREAT) && syscall(SYS_fstat, fd, &status) == 0) {
        pthread_mutex_lock(&lock); /* an inode that was ours once may be another's file now */
        struct file *file = find(status.st_dev, status.st_ino, 0);
        if (file) file->name[0] = 0;
        pthread_mutex_unlock(&lock);
    }
    if (inside) {
        int kept = errno;
        judge(kind, AFTER, last_part(full));
        errno = kept;
    }
    return fd;
}

static mode_t mode_of(int flags, va_list arguments)
{
    return (flags & O_CREAT) || (flags & O_TMPFILE) == O_TMPFILE ? (mode_t)va_arg(arguments, int) : 0;
}

EXPORT int open(const char *path, int flags, ...)
{
    va_list arguments;
    va_start(arguments, flags);
    mode_t mode = mode_of(flags, arguments);
    va_end(arguments);
    return do_open(AT_FDCWD, path, flags, mode);
}

EXPORT int openat(int folder, const char *path, int flags, ...)
{
    va_list arguments;
    va_start(arguments, flags);
    mode_t mode = mode_of(flags, arguments);
    va_end(arguments);
    return do_open(folder, path, flags, mode);
}

EXPORT int creat(const char *path, mode_t mode)
{
    return do_open(AT_FDCWD, path, O_CREAT | O_WRONLY | O_TRUNC, mode);
}

EXPORT int __open_2(const char *path, int flags) { return do_open(AT_FDCWD, path, flags, 0); }
EXPORT int __openat_2(int folder, const char *path, int flags) { return do_open(folder, path, flags, 0); }
ALIAS("open") int open64(const char *path, int flags, ...);
ALIAS("openat") int openat64(int folder, const char *path, int flags, ...);
ALIAS("creat") int creat64(const char *path, mode_t mode);
ALIAS("__open_2") int __open64_2(const char *path, int flags);
ALIAS("__openat_2") int __openat64_2(int folder, const char *path, int flags);

/* ---- writing -------------------------------------------------------------------------------- */

/* Write to a file of the store; offset -1: where the descriptor stands. */
static ssize_t write_stored(int fd, const struct known *known, const struct iovec *given, int count,
                            off_t offset, int flags)
{
    struct iovec parts[IOV_MAX];
    struct verdict verdict = judge(WRITE, BEFORE, known->name);
    if (fails(verdict)) return -1;
    if (count < 0 || count > IOV_MAX) {
        errno = EINVAL;
        return -1;
    }
    memcpy(parts, given, (size_t)count * sizeof *given);
    if (verdict.action == SHORT) {
        size_t left = verdict.argument;
        for (int i = 0; i < count; i++) {
            if (parts[i].iov_len >= left) {
                parts[i].iov_len = left;
                count = i + 1;
            }
            left -= parts[i].iov_len;
        }
    }
    pthread_mutex_lock(&lock);
    ssize_t done = offset < 0 && !flags ? syscall(SYS_writev, fd, parts, count)
                                        : syscall(SYS_pwritev2, fd, parts, count, offset, 0, flags);
    if (done > 0) {
        int kept = errno;
        int opened = (int)syscall(SYS_fcntl, fd, F_GETFL);
        struct stat status;
        off_t at = offset;
        if (opened & O_APPEND)
            at = syscall(SYS_fstat, fd, &status) == 0 ? status.st_size - done : 0;
        else if (offset < 0)
            at = syscall(SYS_lseek, fd, (off_t)0, SEEK_CUR) - done;
        record(E_WRITE, known->status.st_ino, (uint64_t)at, (uint64_t)done, "", 0, parts, (size_t)done);
        if ((opened & O_DSYNC) || (flags & RWF_DSYNC))
            record(E_SYNC_OK, known->status.st_ino, sequence, 0, "", 0, NULL, 0);
        errno = kept;
    }
    pthread_mutex_unlock(&lock);
    verdict = judge(WRITE, AFTER, known->name);
    return fails(verdict) ? -1 : done;
}

EXPORT ssize_t write(int fd, const void *data, size_t n)
{
    struct known known = look(fd);
    if (known.what == STORED)
        return write_stored(fd, &known, &(struct iovec){(void *)data, n}, 1, -1, 0);
    if (known.what == SOCKET) judge(SEND, BEFORE, "");
    ssize_t done = syscall(SYS_write, fd, data, n);
    if (known.what == SOCKET) judge(SEND, AFTER, "");
    return done;
}

EXPORT ssize_t pwrite(int fd, const void *data, size_t n, off_t offset)
{
    struct known known = look(fd);
    if (known.what == STORED)
        return write_stored(fd, &known, &(struct iovec){(void *)data, n}, 1, offset, 0);
    return syscall(SYS_pwrite64, fd, data, n, offset);
}

EXPORT ssize_t writev(int fd, const struct iovec *parts, int count)
{
    struct known known = look(fd);
    if (known.what == STORED) return write_stored(fd, &known, parts, count, -1, 0);
    if (known.what == SOCKET) judge(SEND, BEFORE, "");
    ssize_t done = syscall(SYS_writev, fd, parts, count);
    if (known.what == SOCKET) judge(SEND, AFTER, "");
    return done;
}

EXPORT ssize_t pwritev2(int fd, const struct iovec *parts, int count, off_t offset, int flags)
{
    struct known known = look(fd);
    if (known.what == STORED) return write_stored(fd, &known, parts, count, offset, flags);
    return syscall(SYS_pwritev2, fd, parts, count, offset, 0, flags);
}

EXPORT ssize_t pwritev(int fd, const struct iovec *parts, int count, off_t offset)
{
    return pwritev2(fd, parts, count, offset, 0);
}

ALIAS("pwrite") ssize_t pwrite64(int fd, const void *data, size_t n, off_t offset);
ALIAS("pwritev") ssize_t pwritev64(int fd, const struct iovec *parts, int count, off_t offset);
ALIAS("pwritev2")
ssize_t pwritev64v2(int fd, const struct iovec *parts, int count, off_t offset, int flags);

EXPORT int ftruncate(int fd, off_t size)
{
    struct known known = look(fd);
    if (known.what != STORED) return (int)syscall(SYS_ftruncate, fd, size);
    if (fails(judge(TRUNCATE, BEFORE, known.name))) return -1;
    pthread_mutex_lock(&lock);
    int done = (int)syscall(SYS_ftruncate, fd, size);
    if (!done) record(E_TRUNCATE, known.status.st_ino, (uint64_t)size, 0, "", 0, NULL, 0);
    pthread_mutex_unlock(&lock);
    judge(TRUNCATE, AFTER, known.name);
    return done;
}

EXPORT int truncate(const char *path, off_t size)
{
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    if (fd < 0) return -1;
    int done = ftruncate(fd, size);
    int kept = errno;
    syscall(SYS_close, fd);
    errno = kept;
    return done;
}

EXPORT int fallocate(int fd, int mode, off_t offset, off_t length)
{
    struct known known = look(fd);
    if (known.what != STORED) return (int)syscall(SYS_fallocate, fd, mode, offset, length);
    if (fails(judge(TRUNCATE, BEFORE, known.name))) return -1;
    pthread_mutex_lock(&lock);
    int done = (int)syscall(SYS_fallocate, fd, mode, offset, length);
    if (!done) {
        char text[16];
        int n = snprintf(text, sizeof text, "%d", mode);
        record(E_ALLOCATE, known.status.st_ino, (uint64_t)offset, (uint64_t)length, text, (size_t)n, NULL, 0);
    }
    pthread_mutex_unlock(&lock);
    judge(TRUNCATE, AFTER, known.name);
    return done;
}

EXPORT int posix_fallocate(int fd, off_t offset, off_t length)
{
    int kept = errno;
    int error = fallocate(fd, 0, offset, length) ? errno : 0;
    errno = kept;
    return error;
}

ALIAS("ftruncate") int ftruncate64(int fd, off_t size);
ALIAS("truncate") int truncate64(const char *path, off_t size);
ALIAS("fallocate") int fallocate64(int fd, int mode, off_t offset, off_t length);
ALIAS("posix_fallocate") int posix_fallocate64(int fd, off_t offset, off_t length);

/* ---- syncing -------------------------------------------------------------------------------- */

static int do_sync(int fd, long number)
{
    struct known known = look(fd);
    if (known.what != STORED && known.what != FOLDER) return (int)syscall(number, fd);
    enum kind kind = known.what == FOLDER ? DIRSYNC : SYNC;
    pthread_mutex_lock(&lock);
    uint64_t from = sequence; /* what was written later is not promised by this sync */
    pthread_mutex_unlock(&lock);
    struct verdict verdict = judge(kind, BEFORE, known.name);
    if (verdict.action == SWALLOW) return 0;
    int done = fails(verdict) ? -1 : (int)syscall(number, fd);
    int error = errno;
    pthread_mutex_lock(&lock);
    if (kind == DIRSYNC) {
        if (!done) record(E_DIRSYNC, known.status.st_ino, from, 0, "", 0, NULL, 0);
    } else {
        /* A sync that failed leaves pages that are marked clean: no later one writes them. */
        record(done ? E_SYNC_FAILED : E_SYNC_OK, known.status.st_ino, from, 0, "", 0, NULL, 0);
    }
    pthread_mutex_unlock(&lock);
    verdict = judge(kind, AFTER, known.name);
    errno = error;
    return fails(verdict) ? -1 : done;
}

EXPORT int fsync(int fd) { return do_sync(fd, SYS_fsync); }
EXPORT int fdatasync(int fd) { return do_sync(fd, SYS_fdatasync); }

/* It promises nothing (see its manual page), so it is counted and nothing is taken for synced. */
EXPORT int sync_file_range(int fd, off_t offset, off_t length, unsigned flags)
{
    struct known known = look(fd);
    if (known.what == STORED && fails(judge(SYNC, BEFORE, known.name))) return -1;
    int done = (int)syscall(SYS_sync_file_range, fd, offset, length, flags);
    if (known.what == STORED) judge(SYNC, AFTER, known.name);
    return done;
}

/* ---- names ---------------------------------------------------------------------------------- */

static int do_rename(int from_folder, const char *from, int to_folder, const char *to, unsigned flags)
{
    char names[2 * PATH_MAX], *second, target[PATH_MAX];
    int inside = below(from_folder, from, names) & below(to_folder, to, target);
    if (!inside) return (int)syscall(SYS_renameat2, from_folder, from, to_folder, to, flags);
    if (fails(judge(RENAME, BEFORE, last_part(target)))) return -1;
    second = names + strlen(names) + 1;
    strcpy(second, target);
    pthread_mutex_lock(&lock);
    int done = (int)syscall(SYS_renameat2, from_folder, from, to_folder, to, flags);
    struct stat status;
    if (!done && syscall(SYS_stat, target, &status) == 0) {
        name_file(find(status.st_dev, status.st_ino, 1), target);
        size_t n = (size_t)(second - names) + strlen(second);
        record(E_RENAME, status.st_ino, 0, 0, names, n, NULL, 0);
    }
    pthread_mutex_unlock(&lock);
    judge(RENAME, AFTER, last_part(target));
    return done;
}

static int do_unlink(int folder, const char *path, int flags)
{
    char full[PATH_MAX];
    if (!below(folder, path, full)) return (int)syscall(SYS_unlinkat, folder, path, flags);
    if (fails(judge(UNLINK, BEFORE, last_part(full)))) return -1;
    pthread_mutex_lock(&lock);
    int done = (int)syscall(SYS_unlinkat, folder, path, flags);
    if (!done) record(flags & AT_REMOVEDIR ? E_RMDIR : E_UNLINK, 0, 0, 0, full, strlen(full), NULL, 0);
    pthread_mutex_unlock(&lock);
    judge(UNLINK, AFTER, last_part(full));
    return done;
}

static int do_mkdir(int folder, const char *path, mode_t mode)
{
    char full[PATH_MAX];
    if (!below(folder, path, full)) return (int)syscall(SYS_mkdirat, folder, path, mode);
    if (fails(judge(MKDIR, BEFORE, last_part(full)))) return -1;
    pthread_mutex_lock(&lock);
    int done = (int)syscall(SYS_mkdirat, folder, path, mode);
    struct stat status;
    if (!done && syscall(SYS_stat, full, &status) == 0)
        record(E_MKDIR, status.st_ino, 0, 0, full, strlen(full), NULL, 0);
    pthread_mutex_unlock(&lock);
    judge(MKDIR, AFTER, last_part(full));
    return done;
}

static int do_link(int from_folder, const char *from, int to_folder, const char *to, int flags)
{
    char names[2 * PATH_MAX], target[PATH_MAX];
    int inside = below(from_folder, from, names) & below(to_folder, to, target);
    if (!inside) return (int)syscall(SYS_linkat, from_folder, from, to_folder, to, flags);
    size_t n = strlen(names) + 1;
    strcpy(names + n, target);
    pthread_mutex_lock(&lock);
    int done = (int)syscall(SYS_linkat, from_folder, from, to_folder, to, flags);
    if (!done) record(E_LINK, 0, 0, 0, names, n + strlen(target), NULL, 0);
    pthread_mutex_unlock(&lock);
    return done;
}

EXPORT int rename(const char *from, const char *to) { return do_rename(AT_FDCWD, from, AT_FDCWD, to, 0); }
EXPORT int renameat(int from_folder, const char *from, int to_folder, const char *to)
{
    return do_rename(from_folder, from, to_folder, to, 0);
}
EXPORT int renameat2(int from_folder, const char *from, int to_folder, const char *to, unsigned flags)
{
    return do_rename(from_folder, from, to_folder, to, flags);
}
EXPORT int unlink(const char *path) { return do_unlink(AT_FDCWD, path, 0); }
EXPORT int unlinkat(int folder, const char *path, int flags) { return do_unlink(folder, path, flags); }
EXPORT int rmdir(const char *path) { return do_unlink(AT_FDCWD, path, AT_REMOVEDIR); }
EXPORT int remove(const char *path)
{
    int done = do_unlink(AT_FDCWD, path, 0);
    return done && errno == EISDIR ? do_unlink(AT_FDCWD, path, AT_REMOVEDIR) : done;
}
EXPORT int mkdir(const char *path, mode_t mode) { return do_mkdir(AT_FDCWD, path, mode); }
EXPORT int mkdirat(int folder, const char *path, mode_t mode) { return do_mkdir(folder, path, mode); }
EXPORT int link(const char *from, const char *to) { return do_link(AT_FDCWD, from, AT_FDCWD, to, 0); }
EXPORT int linkat(int from_folder, const char *from, int to_folder, const char *to, int flags)
{
    return do_link(from_folder, from, to_folder, to, flags);
}

/* ---- reading and sending -------------------------------------------------------------------- */

#define READING(fd, call)                                              \
    struct known known = look(fd);                                     \
    if (known.what == STORED && fails(judge(READ, BEFORE, known.name))) \
        return -1;                                                     \
    ssize_t done = call;                                               \
    if (known.what == STORED) judge(READ, AFTER, known.name);          \
    return done

EXPORT ssize_t read(int fd, void *data, size_t n) { READING(fd, syscall(SYS_read, fd, data, n)); }
EXPORT ssize_t readv(int fd, const struct iovec *parts, int count)
{
    READING(fd, syscall(SYS_readv, fd, parts, count));
}
EXPORT ssize_t pread(int fd, void *data, size_t n, off_t offset)
{
    READING(fd, syscall(SYS_pread64, fd, data, n, offset));
}
EXPORT ssize_t preadv(int fd, const struct iovec *parts, int count, off_t offset)
{
    READING(fd, syscall(SYS_preadv, fd, parts, count, offset, 0));
}
EXPORT ssize_t preadv2(int fd, const struct iovec *parts, int count, off_t offset, int flags)
{
    READING(fd, syscall(SYS_preadv2, fd, parts, count, offset, 0, flags));
}
ALIAS("pread") ssize_t pread64(int fd, void *data, size_t n, off_t offset);
ALIAS("preadv") ssize_t preadv64(int fd, const struct iovec *parts, int count, off_t offset);
ALIAS("preadv2")
ssize_t preadv64v2(int fd, const struct iovec *parts, int count, off_t offset, int flags);

#define SENDING(fd, call)                             \
    int ours = look(fd).what == SOCKET;               \
    if (ours) judge(SEND, BEFORE, "");                \
    ssize_t done = call;                              \
    if (ours) judge(SEND, AFTER, "");                 \
    return done

EXPORT ssize_t send(int fd, const void *data, size_t n, int flags)
{
    SENDING(fd, syscall(SYS_sendto, fd, data, n, flags, NULL, 0));
}
EXPORT ssize_t sendto(int fd, const void *data, size_t n, int flags, const struct sockaddr *to, socklen_t m)
{
    SENDING(fd, syscall(SYS_sendto, fd, data, n, flags, to, m));
}
EXPORT ssize_t sendmsg(int fd, const struct msghdr *message, int flags)
{
    SENDING(fd, syscall(SYS_sendmsg, fd, message, flags));
}

/* ---- beginning ------------------------------------------------------------------------------ */

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
