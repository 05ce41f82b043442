/* What the parts of the library share. */
#ifndef FAULTS_SHARED_H
#define FAULTS_SHARED_H
#define _GNU_SOURCE
#include <errno.h>
#include <limits.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

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

extern struct control *control; /* NULL: nothing is watched */
extern char prefix[PATH_MAX];
extern size_t prefix_bytes;
extern int recording; /* -1: none is made */

/* Taken around a change and the recording of it, so that the two have the same order. */
extern pthread_mutex_t lock;
extern uint64_t sequence; /* of the last entry */

/* ---- rules (rules.c) ------------------------------------------------------------------------- */

struct verdict {
    enum action action;
    uint64_t argument;
};

/* Apply the rules of one call, at one side of it. What the call itself has to do is returned. */
struct verdict judge(enum kind kind, enum when when, const char *name);

static inline int fails(struct verdict verdict)
{
    if (verdict.action != FAIL) return 0;
    errno = (int)verdict.argument;
    return 1;
}

/* ---- the recording (recording.c) ------------------------------------------------------------- */

/* Kinds of entries; disk.py reads them. */
enum entry {
    E_CREATED = 1, E_OPENED, E_WRITE, E_TRUNCATE, E_SYNC_OK, E_SYNC_FAILED, E_RENAME, E_UNLINK,
    E_MKDIR, E_RMDIR, E_DIRSYNC, E_ALLOCATE, E_LINK
};

/* With the lock taken. */
void record(enum entry entry, uint64_t inode, uint64_t offset, uint64_t length, const char *name,
            size_t name_bytes, const struct iovec *data, size_t data_bytes);

/* ---- which files (files.c) ------------------------------------------------------------------- */

/* Make a path absolute and plain (the folder has no links in it); say whether it is below the folder. */
int below(int folder, const char *path, char out[PATH_MAX]);
const char *last_part(const char *path);

/* A file below the folder that was opened. With the lock taken. */
struct file {
    dev_t device;
    ino_t inode;
    char name[NAME_BYTES];
};
struct file *find(dev_t device, ino_t inode, int make);
void name_file(struct file *file, const char *path);

enum what { OTHER, STORED, FOLDER, SOCKET };

struct known {
    enum what what;
    struct stat status;
    char name[NAME_BYTES];
};

struct known look(int fd);

#endif
