// tidegate._core: sequences forward and backward, on raw pointers. tidegate.nn.sequence, which alone calls these,
// owns the tensors and has checked their shapes, types and places; where lengths and offsets lead is looked at
// here, each time: what torch traced cannot.
#include <nanobind/nanobind.h>
#include <nanobind/ndarray.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/tuple.h>

#include <cstdint>
#include <initializer_list>
#include <new>
#include <string>

#include "bind_model.h"

extern "C" {
#include "blocks.h"
#include "train.h"
}

namespace nb = nanobind;
using namespace nb::literals;

namespace {

template <typename T> T *pointer(const nb::dict &given, const char *name) {
    if (!given.contains(name)) return nullptr;
    // An address that Python has as a number.
    return reinterpret_cast<T *>(nb::cast<uintptr_t>(given[name])); // NOLINT(performance-no-int-to-ptr)
}

template <typename T> T value(const nb::dict &given, const char *name, T usual) {
    return given.contains(name) ? nb::cast<T>(given[name]) : usual;
}

// Sessions lie one behind the other, among so many rows.
void check_rows(const tg_sequence &q, int64_t rows) {
    for (size_t b = 0; b < q.sessions; b++) {
        const int64_t first = q.offsets[b], end = b + 1 < q.sessions ? q.offsets[b + 1] : rows;
        if (first < 0 || end < first) throw nb::value_error("offsets: not in order, or not among the rows");
        if (q.lengths[b] < 0 || q.lengths[b] > end - first)
            throw nb::value_error("lengths: a session has more steps than there are rows for it");
    }
}

// What a kernel reads and writes without asking whether it is there.
void check_all_there(const tg_sequence &q, bool rows, bool backward, const nb::dict &given) {
    const auto need = [&](bool where, const std::initializer_list<const char *> &names) {
        for (const char *name : names)
            if (where && !given.contains(name)) throw nb::value_error((std::string(name) + ": missing").c_str());
    };
    const bool any = q.sessions > 0 && q.hidden_size > 0, events = any && rows, norm = value(given, "norm", false);
    need(any, {"lengths", "offsets", "weight", "vectors", "h"});
    need(any && q.cell == TG_LSTM, {"c", backward ? "dc" : "c_end"});
    need(any, {backward ? "dh" : "h_end"});
    need(events, {"y"});
    need(events && !backward, {"a"});
    need(events && backward, {"kept", "d", "sums"});
    need(events && backward && norm, {"a", "moments"});
}

tg_sequence sequence_of(const std::string &cell, const std::string &precision, bool backward,
                        const nb::dict &given) {
    tg_sequence q{};
    q.cell = tidegate::cell_named(cell);
    q.precision = tidegate::precision_named(precision);
    if (q.precision == TG_INT8) throw nb::value_error("precision: training takes fp32 or bf16");
    q.hidden_size = nb::cast<size_t>(given["hidden_size"]);
    q.sessions = nb::cast<size_t>(given["sessions"]);
    q.reverse = value(given, "reverse", false);
    q.keep_rate = value(given, "keep_rate", 0.0f);
    q.keep_cell_rate = value(given, "keep_cell_rate", 0.0f);
    q.lengths = pointer<const int64_t>(given, "lengths");
    q.offsets = pointer<const int64_t>(given, "offsets");
#define TAKE(name, type) q.name = pointer<type>(given, #name)
    TAKE(weight, const float);
    TAKE(mask, const float);
    TAKE(keep, const float);
    TAKE(keep_cell, const float);
    TAKE(h, const float);
    TAKE(c, const float);
    TAKE(a, const void);
    TAKE(y, float);
    TAKE(h_end, float);
    TAKE(c_end, float);
    TAKE(kept, float);
    TAKE(moments, tg_moments);
    TAKE(dy, const float);
    TAKE(dh_end, const float);
    TAKE(dc_end, const float);
    TAKE(d, void);
    TAKE(dh, float);
    TAKE(dc, float);
    TAKE(sums, float);
#undef TAKE
    const auto rows = nb::cast<int64_t>(given["rows"]);
    check_all_there(q, rows > 0, backward, given);
    check_rows(q, rows);
    const auto *vectors = pointer<const float>(given, "vectors");
    const auto take = [&](size_t columns) {
        const float *here = vectors;
        vectors += columns * q.hidden_size;
        return here;
    };
    const bool norm = value(given, "norm", false);
    q.bias = take(tg_layout_of(q.cell, norm).bias);
    if (norm) {
        q.gain_input = take(tg_gates(q.cell));
        q.gain = take(tg_gates(q.cell));
    }
    if (norm && q.cell == TG_LSTM) {
        q.cell_gain = take(1);
        q.cell_shift = take(1);
    }
    if (value(given, "peephole", false)) q.peephole = take(3);
    return q;
}

void go(int (*run)(const tg_sequence *, size_t), const tg_sequence &q, size_t threads) {
    int failed;
    {
        nb::gil_scoped_release release;
        failed = run(&q, threads ? threads : 1);
    }
    if (failed) throw std::bad_alloc();
}

} // namespace

void bind_train(nb::module_ &m) {
    m.def(
        "block",
        [](size_t bytes) {
            void *memory = tg_block_take(bytes);
            if (!memory) throw std::bad_alloc();
            const nb::capsule owner(memory, [](void *taken) noexcept { tg_block_give(taken); });
            return nb::ndarray<nb::pytorch, uint8_t, nb::ndim<1>>(memory, {bytes}, owner);
        },
        nb::arg("bytes"),
        "A tensor of so many bytes, whatever is in them, from memory that is used again (native/blocks.h).");
    m.def("blocks_waiting", &tg_blocks_waiting, "Bytes of the memory that waits to be used again.");
    m.def(
        "sequence_layout",
        [](const std::string &cell, bool norm) {
            const tg_layout l = tg_layout_of(tidegate::cell_named(cell), norm);
            return std::make_tuple(l.a, l.kept, l.d, l.bias, l.raw, l.raw_candidate, l.operands);
        },
        "cell"_a, "norm"_a,
        "Columns of a row, in hidden sizes: a, kept, d, bias; and where in d raw, raw_candidate and operands begin.");
    m.attr("MOMENTS") = sizeof(tg_moments) / sizeof(float) * TG_MOMENTS;
    m.def("finds_threads", &tg_finds_threads, "Whether there are threads of torch's that sequences can be shared among.");
    m.def(
        "sequence_forward",
        [](const std::string &cell, const std::string &precision, size_t threads, const nb::dict &given) {
            go(tg_forward, sequence_of(cell, precision, false, given), threads);
        },
        "cell"_a, "precision"_a, "threads"_a, "given"_a,
        "All steps of some sessions; `given` has sizes, and addresses by the names of native/train.h.");
    m.def(
        "sequence_backward",
        [](const std::string &cell, const std::string &precision, size_t threads, const nb::dict &given) {
            go(tg_backward, sequence_of(cell, precision, true, given), threads);
        },
        "cell"_a, "precision"_a, "threads"_a, "given"_a, "The gradients of all steps of some sessions.");
    m.def(
        "draw",
        [](uint64_t seed, float rate, float value, size_t n, uintptr_t address) {
            nb::gil_scoped_release release;
            tg_draw(seed, rate, value, n, reinterpret_cast<float *>(address)); // NOLINT
        },
        "seed"_a, "rate"_a, "value"_a, "n"_a, "address"_a,
        "Write n float32 numbers: `value` with probability `rate`, else 0.");
}
