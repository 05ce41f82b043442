// tidegate._core.Encoder, log1p, sin_turn and cos_turn. Every size is validated here, once; the C below
// trusts its caller.
#include "bind_encode.h"

#include <nanobind/ndarray.h>
#include <nanobind/stl/optional.h>
#include <nanobind/stl/tuple.h>
#include <nanobind/stl/vector.h>

extern "C" {
#include "elementary.h"
}

namespace nb = nanobind;
using namespace nb::literals;
using tidegate::Encoder;

namespace {

using Numbers = nb::ndarray<const double, nb::c_contig, nb::device::cpu>;
using NewNumbers = nb::ndarray<nb::numpy, double>;
using Times = nb::ndarray<const double, nb::ndim<1>, nb::c_contig, nb::device::cpu>;
using States = nb::ndarray<double, nb::ndim<2>, nb::c_contig, nb::device::cpu>;
using Rows = nb::ndarray<float, nb::ndim<2>, nb::c_contig, nb::device::cpu>;
using Failure = std::tuple<size_t, int, size_t>; // row, fault, field

[[noreturn]] void refuse(const char *what) { throw nb::value_error(what); }

bool is_aligned(const void *data, size_t size) { return reinterpret_cast<uintptr_t>(data) % size == 0; }

// Numbers that are only read may lie anywhere.
std::vector<double> copy_of(const void *data, size_t n) {
    std::vector<double> copy(n);
    if (n) std::memcpy(copy.data(), data, n * sizeof(double));
    return copy;
}

template <void (*function)(size_t, const double *, double *)> NewNumbers each(Numbers numbers) {
    const double *data = numbers.data();
    std::vector<double> copy;
    if (!is_aligned(data, alignof(double))) {
        copy = copy_of(data, numbers.size());
        data = copy.data();
    }
    auto *out = new double[numbers.size()];
    nb::capsule owner(out, [](void *data) noexcept { delete[] static_cast<double *>(data); });
    {
        nb::gil_scoped_release release;
        function(numbers.size(), data, out);
    }
    std::vector<size_t> shape;
    for (size_t axis = 0; axis < numbers.ndim(); axis++) shape.push_back(numbers.shape(axis));
    return NewNumbers(out, shape.size(), shape.data(), owner);
}

std::vector<Failure> encode(const Encoder &encoder, nb::dict columns, Times times, States states,
                            Rows rows) {
    const tg_schema *schema = encoder.schema();
    const size_t n = times.shape(0);
    if (states.shape(0) != n || states.shape(1) != schema->state_size)
        refuse("states: shape is not (events, state size)");
    if (rows.shape(0) != n || rows.shape(1) != schema->width)
        refuse("rows: shape is not (events, width)");
    if (!is_aligned(states.data(), alignof(double))) refuse("states: is not aligned");
    if (!is_aligned(rows.data(), alignof(float))) refuse("rows: is not aligned");
    std::vector<double> copy;
    const double *when = times.data();
    if (!is_aligned(when, alignof(double))) {
        copy = copy_of(when, n);
        when = copy.data();
    }
    std::vector<double> raw(n * schema->n_fields);
    encoder.gather(columns, n, raw.data());

    std::vector<Failure> failures;
    nb::gil_scoped_release release;
    for (size_t i = 0; i < n; i++) {
        size_t field;
        const tg_fault fault =
            tg_encode(schema, raw.data() + i * schema->n_fields, when[i],
                      states.data() + i * schema->state_size, rows.data() + i * schema->width, &field);
        if (fault != TG_ENCODED) failures.emplace_back(i, static_cast<int>(fault), field);
    }
    return failures;
}

} // namespace

void bind_encode(nb::module_ &m) {
    m.def("exp", &each<tg_library_exp_array>, "numbers"_a, "e^x of each x, to the bit as `math.exp` gives it.");
    m.def("own_exp", &each<tg_exp_array>, "numbers"_a, "e^x of each x; the same bits on every processor.");
    m.def("log1p", &each<tg_log1p_array>, "numbers"_a, "log(1 + x) of each x >= 0.");
    m.def("sin_turn", &each<tg_sin_turn_array>, "shares"_a, "Sine of each share of a turn, 0 to 1.");
    m.def("cos_turn", &each<tg_cos_turn_array>, "shares"_a, "Cosine of each share of a turn, 0 to 1.");

    nb::class_<Encoder>(m, "Encoder", "A fitted schema: raw values of events to rows of floats.")
        .def(nb::init<const std::vector<Encoder::FieldSpec> &, std::optional<Encoder::DeltaSpec>,
                      std::optional<size_t>, std::optional<size_t>, double, std::optional<std::vector<size_t>>>(),
             "fields"_a, "delta"_a.none(), "hour"_a.none(), "weekday"_a.none(), "utc_offset_hours"_a,
             "positions"_a = nb::none(),
             "`positions`: the place of each field in the order in which payloads are hashed.")
        .def("encode", &encode, "columns"_a, "times"_a, "states"_a.noconvert(), "rows"_a.noconvert(),
             "Encode one event of each state, which becomes the one after it; rows are written. Returns "
             "(row, fault, field) of the events that failed.")
        .def_prop_ro("width", [](const Encoder &encoder) { return encoder.schema()->width; })
        .def_prop_ro("state_size", [](const Encoder &encoder) { return encoder.schema()->state_size; });
}
