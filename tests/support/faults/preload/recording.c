/* What the program does to its files, written down call by call. */
#include "shared.h"

#include <string.h>

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

void record(enum entry entry, uint64_t inode, uint64_t offset, uint64_t length, const char *name,
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
