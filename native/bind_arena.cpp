// tidegate._core.Arena: the memory of sessions. Ids and sizes are validated here, once; the C below trusts
// its caller.
#include "bind_arena.h"

#include <nanobind/ndarray.h>
#include <nanobind/stl/optional.h>

#include <cstdint>
#include <cstring>
#include <new>

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

Arena::Arena(size_t hidden_size, size_t encoder_size, std::optional<Vector> initial) {
    constexpr size_t most = size_t{1} << 24;
    if (hidden_size == 0 || hidden_size > most) throw nb::value_error("hidden_size: not in 1 to 2^24");
    if (encoder_size > most) throw nb::value_error("encoder_size: more than 2^24");
    if (initial && initial->size() != hidden_size) throw nb::value_error("initial: not of the hidden size");
    arena_ = tg_arena_new(hidden_size, encoder_size, 0, initial ? initial->data() : nullptr);
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

size_t drop(Arena &self, nb::handle sessions) {
    const Keys keys = read_keys(sessions);
    const Arena::Use arena(self);
    size_t known = 0;
    for (const tg_key &key : keys.keys) { // one may be there twice
        int64_t slot;
        tg_arena_find(*arena, 1, &key, &slot);
        if (slot < 0) continue;
        tg_arena_drop(*arena, slot);
        known++;
    }
    return known;
}

nb::tuple export_state(Arena &self, const nb::str &session) {
    const Keys key = one_key(session);
    const Arena::Use arena(self);
    int64_t slot;
    tg_arena_find(*arena, 1, key.data(), &slot);
    if (slot < 0) {
        PyErr_SetObject(PyExc_KeyError, session.ptr());
        throw nb::python_error();
    }
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
}

} // namespace

void bind_arena(nb::module_ &m) {
    nb::class_<Arena>(m, "Arena", "The memory of sessions, by id. Threads wait for each other.")
        .def(nb::init<size_t, size_t, std::optional<Arena::Vector>>(), "hidden_size"_a, "encoder_size"_a,
             "initial"_a = nb::none())
        .def("__len__", &count)
        .def("__contains__", &contains, "session"_a)
        .def("find", &find, "sessions"_a, "The slot of each session; -1: unknown.")
        .def("take", &take, "sessions"_a,
             "The slot of each session, begun where it is unknown, and which events began theirs.")
        .def("drop", &drop, "sessions"_a, "Forget sessions; how many there were.")
        .def("export_state", &export_state, "session"_a,
             "Copies of a session's encoder and hidden state.")
        .def("import_state", &import_state, "session"_a, "encoder"_a, "hidden"_a,
             "Replace a session's memory, or begin one with it.")
        .def_prop_ro("bytes", &bytes, "Bytes of memory in use.")
        .def_prop_ro("hidden_size", &Arena::hidden_size)
        .def_prop_ro("encoder_size", &Arena::encoder_size);
}
