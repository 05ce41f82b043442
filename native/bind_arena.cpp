// tidegate._core.Arena: the memory of sessions, and their records' bytes. Ids and sizes are validated
// here, once; the C below trusts its caller.
#include "bind_arena.h"

#include <nanobind/ndarray.h>
#include <nanobind/stl/string.h>

#include <cstdint>
#include <cstring>
#include <memory>
#include <new>

extern "C" {
#include "record.h"
}

namespace nb = nanobind;
using namespace nb::literals;

Keys read_keys(nb::handle sessions) {
    if (nb::isinstance<nb::str>(sessions))
        throw nb::type_error("sessions: a str, not a sequence of them");
    Keys read{nb::steal(PySequence_Tuple(sessions.ptr())), {}};
    if (!read.sessions.is_valid()) throw nb::python_error();
    const size_t n = nb::len(read.sessions);
    read.keys.resize(n);
    for (size_t i = 0; i < n; i++) {
        PyObject *session = PyTuple_GetItem(read.sessions.ptr(), static_cast<Py_ssize_t>(i));
        const auto where = [i] { return "sessions: position " + std::to_string(i) + ": "; };
        if (!PyUnicode_Check(session)) throw nb::type_error((where() + "not a str").c_str());
        Py_ssize_t size = 0;
        const char *data = PyUnicode_AsUTF8AndSize(session, &size);
        if (!data) {
            nb::python_error error;
            if (!error.matches(PyExc_UnicodeEncodeError)) throw error;
            throw nb::value_error((where() + "an id that UTF-8 cannot hold").c_str());
        }
        if (size == 0) throw nb::value_error((where() + "an empty id").c_str());
        if (size > TG_KEY_MAX)
            throw nb::value_error((where() + "an id of " + std::to_string(size) + " bytes, more than " +
                                   std::to_string(TG_KEY_MAX))
                                      .c_str());
        read.keys[i] = {data, static_cast<size_t>(size)};
    }
    return read;
}

Arena::Arena(size_t hidden_size, size_t encoder_size) {
    constexpr size_t most = size_t{1} << 24;
    if (hidden_size == 0 || hidden_size > most) throw nb::value_error("hidden_size: not in 1 to 2^24");
    if (encoder_size > most) throw nb::value_error("encoder_size: more than 2^24");
    arena_ = tg_arena_new(hidden_size, encoder_size, 0);
    if (!arena_) throw std::bad_alloc();
}

Arena::~Arena() { tg_arena_free(arena_); }

Arena::Use::Use(Arena &arena) : arena_(arena) {
    if (arena.mutex_.try_lock()) return;
    nb::gil_scoped_release release; // whoever has it may need the interpreter to be done
    arena.mutex_.lock();
}

Arena::Use::~Use() { arena_.mutex_.unlock(); }

namespace {

using Times = nb::ndarray<const double, nb::shape<-1, 3>, nb::c_contig, nb::device::cpu>;
template <typename T> using Vector = nb::ndarray<const T, nb::ndim<1>, nb::c_contig, nb::device::cpu>;
template <typename T> using Array = nb::ndarray<nb::numpy, T>;

// A new array; `data` is where to write it.
template <typename T> Array<T> new_array(std::initializer_list<size_t> shape, T *&data) {
    size_t size = 1;
    for (size_t extent : shape) size *= extent;
    data = new T[size];
    nb::capsule owner(data, [](void *memory) noexcept { delete[] static_cast<T *>(memory); });
    return Array<T>(data, shape.size(), shape.begin(), owner);
}

template <typename T> Array<T> copy(const T *values, size_t n) {
    T *data;
    Array<T> array = new_array<T>({n}, data);
    if (n) std::memcpy(data, values, n * sizeof(T));
    return array;
}

Keys one_key(const nb::str &session) { return read_keys(nb::make_tuple(session)); }

// The slots of sessions that must be there.
std::vector<int64_t> known_slots(const tg_arena *arena, const Keys &keys) {
    std::vector<int64_t> slots(keys.size());
    tg_arena_find(arena, keys.size(), keys.data(), slots.data());
    for (size_t i = 0; i < slots.size(); i++)
        if (slots[i] < 0) {
            PyObject *session = PyTuple_GetItem(keys.sessions.ptr(), static_cast<Py_ssize_t>(i));
            PyErr_SetObject(PyExc_KeyError, session);
            throw nb::python_error();
        }
    return slots;
}

nb::list sessions_of(const tg_arena *arena, const std::vector<int64_t> &slots) {
    nb::list sessions;
    for (int64_t slot : slots) {
        const tg_key key = tg_arena_key(arena, slot);
        sessions.append(nb::str(key.data, key.size));
    }
    return sessions;
}

size_t count(Arena &self) { return tg_arena_count(*Arena::Use(self)); }

size_t bytes(Arena &self) { return tg_arena_bytes(*Arena::Use(self)); }

bool contains(Arena &self, const nb::str &session) {
    const Keys key = one_key(session);
    int64_t slot;
    tg_arena_find(*Arena::Use(self), 1, key.data(), &slot);
    return slot >= 0;
}

Array<int64_t> find(Arena &self, nb::handle sessions) {
    const Keys keys = read_keys(sessions);
    int64_t *slots;
    Array<int64_t> array = new_array<int64_t>({keys.size()}, slots);
    tg_arena_find(*Arena::Use(self), keys.size(), keys.data(), slots);
    return array;
}

nb::tuple take(Arena &self, nb::handle sessions) {
    const Keys keys = read_keys(sessions);
    int64_t *slots;
    static_assert(sizeof(bool) == sizeof(uint8_t), "fresh is 0 or 1");
    bool *fresh;
    Array<int64_t> slots_array = new_array<int64_t>({keys.size()}, slots);
    Array<bool> fresh_array = new_array<bool>({keys.size()}, fresh);
    if (tg_arena_take(*Arena::Use(self), keys.size(), keys.data(), slots,
                      reinterpret_cast<uint8_t *>(fresh)))
        throw std::bad_alloc();
    return nb::make_tuple(slots_array, fresh_array);
}

// Calls `change` with the slot of each session that is there at its turn; how many.
template <typename Change> size_t for_each_known(Arena &self, nb::handle sessions, Change change) {
    const Keys keys = read_keys(sessions);
    const Arena::Use arena(self);
    size_t known = 0;
    for (const tg_key &key : keys.keys) {
        int64_t slot;
        tg_arena_find(*arena, 1, &key, &slot);
        if (slot < 0) continue;
        change(*arena, slot);
        known++;
    }
    return known;
}

size_t drop(Arena &self, nb::handle sessions) { return for_each_known(self, sessions, tg_arena_drop); }

size_t mark_dirty(Arena &self, nb::handle sessions) {
    return for_each_known(self, sessions, tg_arena_mark_dirty);
}

std::vector<int64_t> dirty_slots(const tg_arena *arena) {
    std::vector<int64_t> slots(tg_arena_dirty_count(arena));
    tg_arena_dirty(arena, slots.data());
    return slots;
}

nb::list dirty(Arena &self) {
    const Arena::Use arena(self);
    return sessions_of(*arena, dirty_slots(*arena));
}

void clean(Arena &self, nb::handle sessions) {
    if (!sessions.is_none()) {
        for_each_known(self, sessions, tg_arena_mark_clean);
        return;
    }
    const Arena::Use arena(self);
    for (int64_t slot : dirty_slots(*arena)) tg_arena_mark_clean(*arena, slot);
}

nb::list coldest(Arena &self, size_t n) {
    const Arena::Use arena(self);
    const size_t most = tg_arena_count(*arena) - tg_arena_dirty_count(*arena);
    std::vector<int64_t> slots(n < most ? n : most);
    slots.resize(tg_arena_coldest(*arena, slots.size(), slots.data()));
    return sessions_of(*arena, slots);
}

nb::tuple export_state(Arena &self, const nb::str &session) {
    const Keys key = one_key(session);
    const Arena::Use arena(self);
    const int64_t slot = known_slots(*arena, key)[0];
    return nb::make_tuple(copy<double>(tg_arena_encoder(*arena, slot), self.encoder_size()),
                          copy<float>(tg_arena_hidden(*arena, slot), self.hidden_size()));
}

void import_state(Arena &self, const nb::str &session, Vector<double> encoder,
                  Vector<float> hidden) {
    if (encoder.size() != self.encoder_size()) throw nb::value_error("encoder: not of the arena's size");
    if (hidden.size() != self.hidden_size()) throw nb::value_error("hidden: not of the arena's size");
    const Keys key = one_key(session);
    const Arena::Use arena(self);
    int64_t slot;
    uint8_t fresh;
    if (tg_arena_take(*arena, 1, key.data(), &slot, &fresh)) throw std::bad_alloc();
    if (encoder.size())
        std::memcpy(tg_arena_encoder(*arena, slot), encoder.data(), encoder.size() * sizeof(double));
    std::memcpy(tg_arena_hidden(*arena, slot), hidden.data(), hidden.size() * sizeof(float));
    tg_arena_mark_dirty(*arena, slot);
}

// ---- Records ----

// The bytes of a sequence of n bytes objects, without a copy. None: none have any.
struct Spans {
    Spans(const char *name, nb::handle objects, size_t n) : spans(n) {
        if (objects.is_none()) return;
        const auto refuse = [name](const std::string &what) {
            throw nb::value_error((std::string(name) + ": " + what).c_str());
        };
        holder = nb::steal(PySequence_Tuple(objects.ptr()));
        if (!holder.is_valid()) throw nb::python_error();
        if (nb::len(holder) != n) refuse("not one for each session");
        for (size_t i = 0; i < n; i++) {
            PyObject *object = PyTuple_GetItem(holder.ptr(), static_cast<Py_ssize_t>(i));
            if (!PyBytes_Check(object)) refuse("position " + std::to_string(i) + ": not bytes");
            spans[i] = {reinterpret_cast<const uint8_t *>(PyBytes_AsString(object)),
                        static_cast<size_t>(PyBytes_Size(object))};
        }
    }

    // For sections: their lengths are written in 32 bits.
    void refuse_huge(const char *name) const {
        for (const tg_span &span : spans)
            if (span.size > UINT32_MAX)
                throw nb::value_error((std::string(name) + ": 4 GiB or more").c_str());
    }

    nb::object holder;
    std::vector<tg_span> spans;
};

const uint8_t *fingerprint_of(const nb::bytes &fingerprint) {
    if (fingerprint.size() != TG_FINGERPRINT_SIZE) throw nb::value_error("fingerprint: not 32 bytes");
    return static_cast<const uint8_t *>(fingerprint.data());
}

nb::list export_records(Arena &self, nb::handle sessions, const nb::bytes &fingerprint,
                        const std::string &model_version, Vector<uint64_t> seqs, Times times,
                        Vector<uint8_t> statuses, nb::handle answer_states, nb::handle answers,
                        nb::handle events) {
    const Keys keys = read_keys(sessions);
    const size_t n = keys.size();
    if (seqs.size() != n) throw nb::value_error("seqs: not one for each session");
    if (times.shape(0) != n) throw nb::value_error("times: not one row for each session");
    if (statuses.size() != n) throw nb::value_error("statuses: not one for each session");
    const Spans answer_state_data("answer_states", answer_states, n);
    const Spans answers_data("answers", answers, n);
    const Spans events_data("events", events, n);
    answer_state_data.refuse_huge("answer_states");
    answers_data.refuse_huge("answers");
    events_data.refuse_huge("events");
    const uint8_t *print = fingerprint_of(fingerprint);
    const tg_span version = {reinterpret_cast<const uint8_t *>(model_version.data()),
                             model_version.size()};

    const Arena::Use arena(self);
    const std::vector<int64_t> slots = known_slots(*arena, keys);
    std::vector<tg_record> records(n);
    std::vector<size_t> offsets(n + 1);
    for (size_t i = 0; i < n; i++) {
        if (statuses.data()[i] > 3) throw nb::value_error("statuses: not in 0 to 3");
        const double *row = times.data() + 3 * i;
        records[i] = {seqs.data()[i],
                      row[0],
                      row[1],
                      row[2],
                      statuses.data()[i],
                      version,
                      answer_state_data.spans[i],
                      answers_data.spans[i],
                      events_data.spans[i],
                      {},
                      0,
                      false};
        offsets[i + 1] = offsets[i] + tg_record_size(*arena, &records[i]);
    }
    const std::unique_ptr<uint8_t[]> buffer(new uint8_t[offsets[n]]);
    {
        nb::gil_scoped_release release;
        tg_record_encode(*arena, print, n, slots.data(), records.data(), buffer.get(), offsets.data());
    }
    nb::list encoded;
    for (size_t i = 0; i < n; i++)
        encoded.append(nb::bytes(buffer.get() + offsets[i], offsets[i + 1] - offsets[i]));
    return encoded;
}

nb::tuple import_records(Arena &self, nb::handle sessions, nb::handle records,
                         const nb::bytes &fingerprint) {
    const Keys keys = read_keys(sessions);
    const size_t n = keys.size();
    if (records.is_none()) throw nb::type_error("records: None, not a sequence of bytes");
    const Spans data("records", records, n);
    const uint8_t *print = fingerprint_of(fingerprint);
    std::vector<tg_decoded> decoded(n);
    {
        nb::gil_scoped_release release;
        tg_record_decode(self.layout(), print, n, data.spans.data(), decoded.data());
    }

    uint8_t *codes, *statuses;
    uint64_t *seqs;
    double *times;
    int64_t *spans;
    Array<uint8_t> codes_array = new_array<uint8_t>({n}, codes);
    Array<uint64_t> seqs_array = new_array<uint64_t>({n}, seqs);
    Array<double> times_array = new_array<double>({n, 3}, times);
    Array<uint8_t> statuses_array = new_array<uint8_t>({n}, statuses);
    Array<int64_t> spans_array = new_array<int64_t>({n, 4, 2}, spans);
    std::vector<tg_key> whole;
    std::vector<const tg_decoded *> states;
    for (size_t i = 0; i < n; i++) {
        const tg_record &record = decoded[i].record;
        codes[i] = static_cast<uint8_t>(decoded[i].code);
        seqs[i] = record.seq;
        times[3 * i] = record.time;
        times[3 * i + 1] = record.created;
        times[3 * i + 2] = record.updated;
        statuses[i] = static_cast<uint8_t>(record.status);
        for (const tg_span &span :
             {record.model_version, record.answer_state, record.answers, record.events}) {
            const int64_t start = span.data ? span.data - data.spans[i].data : 0;
            *spans++ = start;
            *spans++ = start + static_cast<int64_t>(span.size);
        }
        if (decoded[i].code == TG_RECORD_OK) {
            whole.push_back(keys.keys[i]);
            states.push_back(&decoded[i]);
        }
    }

    const Arena::Use arena(self);
    std::vector<int64_t> slots(whole.size());
    std::vector<uint8_t> fresh(whole.size());
    if (tg_arena_take(*arena, whole.size(), whole.data(), slots.data(), fresh.data()))
        throw std::bad_alloc();
    for (size_t i = 0; i < slots.size(); i++) {
        tg_record_load(*arena, states[i], slots[i]);
        tg_arena_mark_clean(*arena, slots[i]); // as the store has it
    }
    return nb::make_tuple(codes_array, seqs_array, times_array, statuses_array, spans_array);
}

} // namespace

void bind_arena(nb::module_ &m) {
    m.attr("RECORD_CODES") = nb::make_tuple(
        "", "record_truncated", "record_magic", "record_version", "record_damaged", "record_trailing",
        "record_checksum", "other_model", "other_size", "other_sections");

    nb::class_<Arena>(m, "Arena", "The memory of sessions, by id. Threads wait for each other.")
        .def(nb::init<size_t, size_t>(), "hidden_size"_a, "encoder_size"_a)
        .def("__len__", &count)
        .def("__contains__", &contains, "session"_a)
        .def("find", &find, "sessions"_a, "The slot of each session; -1: unknown.")
        .def("take", &take, "sessions"_a,
             "The slot of each session, begun where it is unknown, and which events began theirs.")
        .def("drop", &drop, "sessions"_a, "Forget sessions; how many there were.")
        .def("export_state", &export_state, "session"_a,
             "Copies of a session's encoder and hidden state.")
        .def("import_state", &import_state, "session"_a, "encoder"_a, "hidden"_a,
             "Replace a session's memory, or begin one with it; it becomes dirty.")
        .def("mark_dirty", &mark_dirty, "sessions"_a,
             "Say that the store lacks them; how many are known.")
        .def("dirty", &dirty, "The sessions whose memory is newer than the store's, first marked first.")
        .def("clean", &clean, "sessions"_a = nb::none(), "Say that the store has them, or all.")
        .def("coldest", &coldest, "n"_a, "Up to n clean sessions, coldest first.")
        .def("export_records", &export_records, "sessions"_a, "fingerprint"_a, "model_version"_a,
             "seqs"_a, "times"_a, "statuses"_a, "answer_states"_a = nb::none(), "answers"_a = nb::none(),
             "events"_a = nb::none(),
             "Records in format 1. Rows of `times`: last event, created, updated. Sections as encoded.")
        .def("import_records", &import_records, "sessions"_a, "records"_a, "fingerprint"_a,
             "Read records; those of code 0 become the sessions' memory, clean. Returns codes (in\n"
             "RECORD_CODES), seqs, times, statuses and where in its record each one's model version,\n"
             "answer state, answers and events begin and end.")
        .def_prop_ro("bytes", &bytes, "Bytes of memory in use.")
        .def_prop_ro("hidden_size", &Arena::hidden_size)
        .def_prop_ro("encoder_size", &Arena::encoder_size);
}
