// A batch of events on its way from Python and back: whose they are, what comes with each, what came of it.
#ifndef TIDEGATE_BIND_BATCH_H
#define TIDEGATE_BIND_BATCH_H

#include <nanobind/nanobind.h>
#include <nanobind/ndarray.h>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "array.h"
#include "bind_arena.h"

extern "C" {
#include "utf8.h"
}

namespace tidegate {

namespace nb = nanobind;

template <typename T> using Array = nb::ndarray<nb::numpy, T>;

[[noreturn]] inline void refuse(const std::string &what) { throw nb::value_error(what.c_str()); }

// Session ids: a sequence of str, or Arrow's offsets and UTF-8.
class Ids {
public:
    explicit Ids(nb::handle sessions) {
        if (PyTuple_Check(sessions.ptr()) && PyTuple_Size(sessions.ptr()) == 2 &&
            !PyUnicode_Check(PyTuple_GetItem(sessions.ptr(), 0))) {
            read(PyTuple_GetItem(sessions.ptr(), 0), PyTuple_GetItem(sessions.ptr(), 1));
            return;
        }
        if (!PySequence_Check(sessions.ptr())) throw nb::type_error("sessions: not a sequence of str");
        keys_ = read_keys(sessions);
    }

    size_t size() const { return keys_.size(); }
    const tg_key *data() const { return keys_.data(); }
    const tg_key &operator[](size_t i) const { return keys_.keys[i]; }

private:
    void read(nb::handle offsets, nb::handle data) {
        bytes_.emplace(data, "sessions: data");
        if (is_wide(offsets)) read_offsets(wide_.emplace(offsets, "sessions: offsets"));
        else read_offsets(narrow_.emplace(offsets, "sessions: offsets"));
    }

    static bool is_wide(nb::handle offsets) {
        const nb::object size = nb::getattr(offsets, "itemsize", nb::none());
        return !size.is_none() && nb::cast<size_t>(size) == sizeof(int64_t);
    }

    template <typename Offsets> void read_offsets(const Offsets &offsets) {
        if (offsets.size() == 0) refuse("sessions: offsets: none, and there is one more than ids");
        keys_.keys.resize(offsets.size() - 1);
        for (size_t i = 0; i < keys_.size(); i++) {
            const int64_t from = offsets.data()[i], to = offsets.data()[i + 1];
            const auto where = [i] { return "sessions: position " + std::to_string(i) + ": "; };
            if (from < 0 || to < from || static_cast<uint64_t>(to) > bytes_->size())
                refuse(where() + "offsets beyond the data");
            const auto size = static_cast<size_t>(to - from);
            const uint8_t *at = bytes_->data() + from;
            if (size == 0) refuse(where() + "an empty id");
            if (size > TG_KEY_MAX)
                refuse(where() + "an id of " + std::to_string(size) + " bytes, more than " +
                       std::to_string(TG_KEY_MAX));
            if (!tg_is_utf8(at, size)) refuse(where() + "an id that is not UTF-8");
            keys_.keys[i] = {reinterpret_cast<const char *>(at), size};
        }
    }

    Keys keys_;
    std::optional<ArrayOf<uint8_t, 1>> bytes_;
    std::optional<ArrayOf<int32_t, 1>> narrow_;
    std::optional<ArrayOf<int64_t, 1>> wide_;
};

// An array with one item an event, or None.
template <typename T> class Optional {
public:
    Optional(nb::handle given, const char *name, size_t n) {
        if (given.is_none()) return;
        array_.emplace(given, name);
        if (array_->size() != n) refuse(std::string(name) + ": length is not the number of events");
    }
    const T *data() const { return array_ ? array_->data() : nullptr; }

private:
    std::optional<ArrayOf<T, 1>> array_;
};

// The arrays of a result: one piece of memory.
class Results {
public:
    Results(size_t n, size_t n_outputs) : n(n), n_outputs(n_outputs) {
        const size_t wide = 3 * n * 8, middle = n * n_outputs * sizeof(float) + 2 * n * sizeof(int32_t);
        memory_.reset(new uint8_t[wide + middle + 2 * n + 1]);
        numbers = reinterpret_cast<int64_t *>(memory_.get());
        expected = numbers + n;
        times = reinterpret_cast<double *>(expected + n);
        outputs = reinterpret_cast<float *>(times + n);
        faults = reinterpret_cast<int32_t *>(outputs + n * n_outputs);
        codes = reinterpret_cast<uint8_t *>(faults + 2 * n);
        marks = codes + n;
    }

    const size_t n, n_outputs;
    int64_t *numbers, *expected;
    double *times;
    float *outputs;
    int32_t *faults;
    uint8_t *codes, *marks;

private:
    std::unique_ptr<uint8_t[]> memory_;
};

// What came of a batch. Its arrays become Python's when they are asked for: an event that came alone is answered
// without.
struct Processed {
    std::shared_ptr<const Results> results;
    nb::dict encoder_before, versions;
    size_t changed = 0;

    template <typename T> nb::object one(T *data) const { return nb::cast(Array<T>(data, {results->n}, owner())); }
    template <typename T> nb::object two(T *data, size_t width) const {
        return nb::cast(Array<T>(data, {results->n, width}, owner()));
    }

private:
    using Shared = std::shared_ptr<const Results>;
    nb::capsule owner() const {
        return nb::capsule(new Shared(results), [](void *data) noexcept { delete static_cast<Shared *>(data); });
    }
};

} // namespace tidegate

#endif
