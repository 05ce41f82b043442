/* The calls that stand before the C library's: asked about, made, recorded. */
#include "shared.h"

#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#define EXPORT __attribute__((visibility("default")))
#define ALIAS(name) __attribute__((visibility("default"), alias(name)))

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
