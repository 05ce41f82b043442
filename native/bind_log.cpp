// The log-structured store seen from Python. Whatever may wait for the disk does so without the
// interpreter's lock.
#include <nanobind/nanobind.h>

#include <cstdint>
#include <cstdlib>
#include <new>
#include <vector>

#include "bind_group.h"

extern "C" {
#include "log.h"
#include "siphash.h"
}

namespace nb = nanobind;
using namespace nb::literals;

namespace {

// (code, errno, text): store/log.py makes a StoreError of it.
nb::handle log_error_type; // the module has it, for as long as there is a process

[[noreturn]] void raise(const tg_log_error &error) {
    const nb::tuple arguments = nb::make_tuple(static_cast<int>(error.code), error.error,
                                               nb::str(error.text));
    PyErr_SetObject(log_error_type.ptr(), arguments.ptr());
    throw nb::python_error();
}

[[noreturn]] void raise_closed() {
    tg_log_error error{};
    error.code = TG_LOG_OK;
    raise(error);
}

nb::bytes key_of(const tg_frame *frame) { return nb::bytes(tg_frame_key(frame), frame->key_size); }

nb::bytes value_of(const tg_frame *frame) { return nb::bytes(tg_frame_value(frame), frame->value_size); }

struct Buffer : tg_buffer {
    Buffer() : tg_buffer{nullptr, 0, 0} {}
    ~Buffer() { std::free(data); }
    Buffer(const Buffer &) = delete;
    Buffer &operator=(const Buffer &) = delete;
    const tg_frame *frame(size_t at) const { return reinterpret_cast<const tg_frame *>(data + at); }
};

class Log {
public:
    Log(const nb::bytes &path, uint64_t segment_size, double space, uint32_t sync_ms, bool read_only,
        bool tolerant) {
        if (segment_size < 1024 || segment_size > (uint64_t{1} << 34))
            throw nb::value_error("segment_size: not 1 KiB to 16 GiB");
        if (!(space >= 1.5 && space <= 1e6)) throw nb::value_error("space: not 1.5 to 1,000,000");
        if (tolerant && !read_only) throw nb::value_error("tolerant: only with read_only");
        const tg_log_options options{segment_size, space, sync_ms, read_only, tolerant};
        tg_log_error error{};
        {
            nb::gil_scoped_release unlocked;
            log_ = tg_log_open(path.c_str(), &options, &error);
        }
        if (!log_) raise(error);
        writable_ = !read_only;
    }
    ~Log() {
        if (!log_) return;
        nb::gil_scoped_release unlocked;
        tg_log_close(log_);
    }
    Log(const Log &) = delete;
    Log &operator=(const Log &) = delete;

    int close() {
        tg_log *log = opened();
        if (users_) throw nb::value_error("close: a call is still running");
        log_ = nullptr;
        nb::gil_scoped_release unlocked;
        return tg_log_close(log);
    }

    bool closed() const { return !log_; }

    uint64_t append(Group &group) {
        tg_log *log = written();
        const uint64_t ticket = tg_log_append(log, &group.group);
        if (!ticket) raise_failure();
        return ticket;
    }

    nb::tuple progress() {
        bool failed;
        size_t n;
        const uint64_t done = tg_log_progress(written(), &failed, timings_.data(), timings_.size(), &n);
        nb::list rows;
        for (size_t i = 0; i < n; i++) {
            const tg_log_timing &each = timings_[i];
            rows.append(nb::make_tuple(each.write_s, each.sync_s, each.bytes, each.frames));
        }
        return nb::make_tuple(done, failed, rows);
    }

    int wait(uint64_t ticket, double seconds) {
        Use use(*this, written());
        nb::gil_scoped_release unlocked;
        return tg_log_wait(use.log, ticket, seconds);
    }

    bool recover() {
        Use use(*this, written());
        nb::gil_scoped_release unlocked;
        return tg_log_recover(use.log) == 0;
    }

    bool cut() {
        Use use(*this, written());
        nb::gil_scoped_release unlocked;
        return tg_log_cut(use.log) == 0;
    }

    [[noreturn]] void raise_failure() {
        tg_log_error error;
        tg_log_failure(written(), &error);
        raise(error);
    }

    nb::tuple failure() {
        tg_log_error error;
        tg_log_failure(written(), &error);
        return nb::make_tuple(static_cast<int>(error.code), error.error, nb::str(error.text));
    }

    bool failed() {
        tg_log_stats stats;
        tg_log_get_stats(written(), &stats);
        return stats.failed;
    }

    void ages(double live_seconds, double tombstone_seconds, double now) {
        if (!(live_seconds >= 0 && tombstone_seconds >= 0 && now >= 0))
            throw nb::value_error("ages: not 0 seconds or more");
        tg_log_ages(written(), live_seconds, tombstone_seconds, now);
    }

    nb::list get(const nb::sequence &keys) {
        Use use(*this, opened());
        std::vector<nb::bytes> held; // the sequence may change while the lock is not ours
        std::vector<const uint8_t *> pointers;
        std::vector<size_t> sizes, found;
        for (nb::handle key : keys) {
            if (!nb::isinstance<nb::bytes>(key)) throw nb::type_error("keys: not all are bytes");
            held.push_back(nb::borrow<nb::bytes>(key));
            pointers.push_back(static_cast<const uint8_t *>(held.back().data()));
            sizes.push_back(held.back().size());
        }
        found.resize(held.size());
        Buffer data;
        tg_log_error error;
        tg_log_code code;
        {
            nb::gil_scoped_release unlocked;
            code = tg_log_get(use.log, held.size(), pointers.data(), sizes.data(), &data, found.data(),
                              &error);
        }
        if (code) raise(error);
        nb::list values;
        for (const size_t at : found) {
            if (at == SIZE_MAX)
                values.append(nb::none());
            else
                values.append(value_of(data.frame(at)));
        }
        return values;
    }

    nb::list scan(unsigned shard, const nb::bytes &prefix) {
        if (shard > 255) throw nb::value_error("shard: not 0 to 255");
        Use use(*this, opened());
        Buffer data;
        tg_found *found;
        size_t n;
        tg_log_error error;
        tg_log_code code;
        {
            nb::gil_scoped_release unlocked;
            const auto *front = static_cast<const uint8_t *>(prefix.data());
            code = tg_log_scan(use.log, shard, front, prefix.size(), &data, &found, &n, &error);
        }
        if (code) raise(error);
        struct Free {
            tg_found *found;
            ~Free() { std::free(found); }
        } free{found};
        nb::list items;
        for (size_t i = 0; i < n; i++) {
            const tg_frame *frame = data.frame(found[i].at);
            items.append(nb::make_tuple(key_of(frame), value_of(frame), static_cast<int>(frame->kind),
                                        found[i].segment, found[i].offset, tg_frame_value_sound(frame)));
        }
        return items;
    }

    nb::dict stats() {
        tg_log_stats stats;
        tg_log_get_stats(opened(), &stats);
        nb::dict named;
        named["keys"] = stats.keys;
        named["sessions"] = stats.sessions;
        named["tombstones"] = stats.tombstones;
        named["bytes"] = stats.bytes;
        named["live_bytes"] = stats.live_bytes;
        named["segments"] = stats.segments;
        named["cuts"] = stats.cuts;
        named["swept"] = stats.swept;
        named["expired"] = stats.expired;
        named["copied_bytes"] = stats.copied_bytes;
        named["queued_bytes"] = stats.queued_bytes;
        named["frames_scanned"] = stats.frames_scanned;
        named["frames_indexed"] = stats.frames_indexed;
        named["open_seconds"] = stats.open_seconds;
        named["cut_error"] = stats.cut_error;
        return named;
    }

    nb::list damages() {
        size_t n;
        const tg_log_damage *damages = tg_log_damages(opened(), &n);
        nb::list rows;
        for (size_t i = 0; i < n; i++)
            rows.append(nb::make_tuple(damages[i].segment, damages[i].offset, nb::str(damages[i].what)));
        return rows;
    }

    nb::list segments() {
        const tg_log *log = looked_at();
        nb::list rows;
        for (size_t i = 0; i < tg_log_segment_count(log); i++) {
            uint64_t number, end;
            tg_log_segment(log, i, &number, &end);
            rows.append(nb::make_tuple(number, end));
        }
        return rows;
    }

    nb::bytes read_segment(size_t i, uint64_t offset, size_t size) {
        const tg_log *log = looked_at();
        if (i >= tg_log_segment_count(log)) throw nb::value_error("i: there is no such segment");
        if (size > (size_t{1} << 30)) throw nb::value_error("size: more than 1 GiB");
        std::vector<uint8_t> data(size);
        int number;
        {
            nb::gil_scoped_release unlocked;
            number = tg_log_read_segment(log, i, offset, data.data(), size);
        }
        if (number) {
            tg_log_error error{TG_LOG_IO, number, "reading a segment"};
            raise(error);
        }
        return nb::bytes(data.data(), size);
    }

    nb::bytes current() {
        uint8_t current[64];
        tg_log_make_current(looked_at(), current);
        return nb::bytes(current, sizeof current);
    }

    int eventfd() { return tg_log_eventfd(written()); }

    uint64_t queued_bytes() {
        tg_log_stats stats;
        tg_log_get_stats(opened(), &stats);
        return stats.queued_bytes;
    }

    uint64_t synced() {
        tg_log_stats stats;
        tg_log_get_stats(written(), &stats);
        return stats.synced;
    }

private:
    // A call that runs without the interpreter's lock: the log must stay open.
    struct Use {
        Use(Log &owner, tg_log *log) : owner(owner), log(log) { owner.users_++; }
        ~Use() { owner.users_--; }
        Log &owner;
        tg_log *log;
    };

    tg_log *opened() const {
        if (!log_) raise_closed();
        return log_;
    }
    tg_log *written() const {
        if (log_ && !writable_) throw nb::value_error("the log is open read only");
        return opened();
    }
    const tg_log *looked_at() const {
        if (log_ && writable_) throw nb::value_error("the log is not open read only");
        return opened();
    }

    tg_log *log_ = nullptr;
    std::vector<tg_log_timing> timings_ = std::vector<tg_log_timing>(1024); // of `progress`, for which the lock is held
    bool writable_ = false;
    int users_ = 0;
};

} // namespace

void bind_log(nb::module_ &m) {
    log_error_type = PyErr_NewException("tidegate._core.LogError", nullptr, nullptr);
    if (!log_error_type.is_valid()) throw nb::python_error();
    m.attr("LogError") = log_error_type;
    m.def(
        "siphash",
        [](const nb::bytes &seed, const nb::bytes &data) {
            if (seed.size() != 16) throw nb::value_error("seed: not 16 bytes");
            uint64_t hash[2];
            tg_siphash(static_cast<const uint8_t *>(seed.data()),
                       static_cast<const uint8_t *>(data.data()), data.size(), hash);
            return nb::bytes(hash, sizeof hash);
        },
        "seed"_a, "data"_a, "SipHash-2-4 with 128 bits.");
    nb::class_<Log>(m, "Log", "A folder of segments; `tidegate.store.LogStore` is its face.")
        .def(nb::init<const nb::bytes &, uint64_t, double, uint32_t, bool, bool>(), "path"_a,
             "segment_size"_a, "space"_a, "sync_ms"_a, "read_only"_a, "tolerant"_a)
        .def("close", &Log::close)
        .def_prop_ro("closed", &Log::closed)
        .def("append", &Log::append, "group"_a)
        .def("progress", &Log::progress)
        .def("wait", &Log::wait, "ticket"_a, "seconds"_a)
        .def("recover", &Log::recover)
        .def("cut", &Log::cut)
        .def("failure", &Log::failure)
        .def_prop_ro("failed", &Log::failed)
        .def("ages", &Log::ages, "live_seconds"_a, "tombstone_seconds"_a, "now"_a)
        .def("get", &Log::get, "keys"_a)
        .def("scan", &Log::scan, "shard"_a, "prefix"_a)
        .def("stats", &Log::stats)
        .def("damages", &Log::damages)
        .def("segments", &Log::segments)
        .def("read_segment", &Log::read_segment, "i"_a, "offset"_a, "size"_a)
        .def("current", &Log::current)
        .def("fileno", &Log::eventfd)
        .def_prop_ro("queued_bytes", &Log::queued_bytes)
        .def_prop_ro("synced", &Log::synced);
}
