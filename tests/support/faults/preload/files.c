/* Which files and sockets are the ones to watch. */
#include "shared.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

/* By inode: this holds for descriptors of every origin. */
#define FILES 8192
static struct file files[FILES];

int below(int folder, const char *path, char out[PATH_MAX])
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

const char *last_part(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash ? slash + 1 : path;
}

struct file *find(dev_t device, ino_t inode, int make)
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

void name_file(struct file *file, const char *path)
{
    const char *name = last_part(path);
    size_t n = strlen(name);
    if (n >= sizeof file->name) n = sizeof file->name - 1;
    memcpy(file->name, name, n);
    file->name[n] = 0;
}

static int is_internet(int fd)
{
    int family = 0;
    socklen_t n = sizeof family;
    return !getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &family, &n) && (family == AF_INET || family == AF_INET6);
}

struct known look(int fd)
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
