// The sessions of an engine, seen from C++: what other binding files need of tidegate._core.Arena.
#ifndef TIDEGATE_BIND_ARENA_H
#define TIDEGATE_BIND_ARENA_H

#include <nanobind/nanobind.h>
#include <nanobind/ndarray.h>

#include <cstddef>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

extern "C" {
#include "arena.h"
}

// The ids of a sequence of str, without a copy: `sessions` keeps them alive and cannot change, so the
// keys stay valid where the interpreter's lock is released.
struct Keys {
    nanobind::object sessions; // a tuple
    std::vector<tg_key> keys;

    size_t size() const { return keys.size(); }
    const tg_key *data() const { return keys.data(); }
};

// ValueError, naming the position: an id that is empty, longer than TG_KEY_MAX bytes or not UTF-8.
// TypeError: something that is not a str. Call it with the interpreter's lock.
Keys read_keys(nanobind::handle sessions);

class Arena {
public:
    using Vector =
        nanobind::ndarray<const float, nanobind::ndim<1>, nanobind::c_contig, nanobind::device::cpu>;

    // One at a time: whoever reads or changes an arena holds a Use, with or without the interpreter's
    // lock. Made with the interpreter's lock, which is released while another thread has one.
    class Use {
    public:
        explicit Use(Arena &arena);
        ~Use();
        Use(const Use &) = delete;
        Use &operator=(const Use &) = delete;
        tg_arena *operator*() const { return arena_.arena_; }

    private:
        Arena &arena_;
    };

    Arena(size_t hidden_size, size_t encoder_size, std::optional<Vector> initial);
    ~Arena();
    Arena(const Arena &) = delete;
    Arena &operator=(const Arena &) = delete;

    size_t hidden_size() const { return arena_->hidden_size; }
    size_t encoder_size() const { return arena_->encoder_size; }

private:
    tg_arena *arena_;
    std::mutex mutex_;
};

#endif
