// A group of changes, as the files that make one and the log that takes it share it.
#ifndef TIDEGATE_BIND_GROUP_H
#define TIDEGATE_BIND_GROUP_H

extern "C" {
#include "group.h"
}

class Group {
public:
    Group() = default;
    ~Group() { tg_group_free(&group); }
    Group(const Group &) = delete;
    Group &operator=(const Group &) = delete;

    tg_group group{};
};

#endif
