// tidegate._core: lines of JSON to columns and back (native/lines.h). The interpreter's lock is released.
#include <nanobind/nanobind.h>
#include <nanobind/ndarray.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/tuple.h>
#include <nanobind/stl/vector.h>

#include <memory>
#include <string>
#include <tuple>
#include <type_traits>
#include <variant>
#include <vector>

#include "array.h"
#include "lines.h"

namespace nb = nanobind;
using namespace nb::literals;
using tidegate::ArrayOf;
using tidegate::Bounds;
using tidegate::Field;
using tidegate::Kind;
using tidegate::Lines;

namespace {

std::string_view view_of(const nb::bytes &bytes) {
    return {static_cast<const char *>(bytes.data()), bytes.size()};
}

class LinePlan {
public:
    // name, kind, required
    using FieldSpec = std::tuple<std::string, std::string, bool>;

    LinePlan(const std::vector<FieldSpec> &fields, double earliest, double latest, int64_t most_seq)
        : bounds_{earliest, latest, most_seq} {
        for (const auto &[name, kind, required] : fields)
            fields_.emplace_back(name, tidegate::kind_named(kind), required);
    }

    // Ids, numbers, times, flags and columns; None: not all of the lines are plain.
    nb::object read(nb::bytes data, size_t count) const {
        auto lines = std::make_unique<Lines>();
        bool plain;
        {
            nb::gil_scoped_release unlocked;
            plain = tidegate::read_lines(fields_, bounds_, view_of(data), count, *lines);
        }
        if (!plain) return nb::none();
        Lines *found = lines.release();
        const nb::capsule owner(found, [](void *made) noexcept { delete static_cast<Lines *>(made); });
        const auto array = [&](auto *at, size_t size) -> nb::object {
            using Item = std::remove_pointer_t<decltype(at)>;
            return nb::cast(nb::ndarray<nb::numpy, Item>(at, {size}, owner));
        };
        auto *ids = reinterpret_cast<uint8_t *>(found->ids.data());
        const nb::tuple sessions = nb::make_tuple(array(found->offsets.data(), count + 1),
                                                  array(ids, found->ids.size()));
        nb::dict columns;
        double *numbers = found->numbers.data();
        auto texts = found->texts.begin();
        for (const Field &field : fields_) {
            const nb::str name(field.name.data(), field.name.size());
            if (field.kind == Kind::category) {
                nb::list words;
                for (const std::string_view word : texts->words) words.append(nb::str(word.data(), word.size()));
                columns[name] = nb::make_tuple(array(texts->codes.data(), count), words);
                texts++;
            } else {
                columns[name] = array(numbers, count);
                numbers += count;
            }
        }
        const nb::object none = nb::none();
        return nb::make_tuple(sessions, array(found->seqs.data(), count),
                              found->timed ? array(found->times.data(), count) : none,
                              found->flagged ? array(found->flags.data(), count) : none, columns);
    }

private:
    std::vector<Field> fields_;
    Bounds bounds_;
};

// ---- Rows of text: what stands between the columns, and the columns ----

struct Words {
    explicit Words(nb::handle codes) : codes(codes, "pieces: codes") {}
    ArrayOf<int32_t, 1> codes;
    std::vector<std::string_view> words;
};

struct Ids {
    Ids(nb::handle offsets, nb::handle data) : offsets(offsets, "pieces: offsets"), data(data, "pieces: data") {}
    ArrayOf<int32_t, 1> offsets;
    ArrayOf<uint8_t, 1> data;
};

using Piece = std::variant<std::string_view, std::unique_ptr<ArrayOf<double, 1>>,
                           std::unique_ptr<ArrayOf<int64_t, 1>>, std::unique_ptr<Words>, std::unique_ptr<Ids>>;

void check_size(size_t found, size_t size) {
    if (found != size) throw nb::value_error("pieces: a column has not one item a row");
}

Piece read_words(nb::handle codes, nb::handle list, size_t size) {
    auto words = std::make_unique<Words>(codes);
    check_size(words->codes.size(), size);
    for (nb::handle word : list) words->words.push_back(view_of(nb::cast<nb::bytes>(word)));
    for (size_t row = 0; row < size; row++)
        if (static_cast<size_t>(words->codes.data()[row]) >= words->words.size())
            throw nb::value_error("pieces: a code beyond the words");
    return words;
}

Piece read_ids(nb::handle offsets, nb::handle data, size_t size) {
    auto ids = std::make_unique<Ids>(offsets, data);
    check_size(ids->offsets.size(), size + 1);
    const int32_t *at = ids->offsets.data();
    for (size_t row = 0; row < size; row++)
        if (at[row] < 0 || at[row + 1] < at[row] || static_cast<size_t>(at[row + 1]) > ids->data.size())
            throw nb::value_error("pieces: offsets beyond the data");
    return ids;
}

Piece read_piece(nb::handle piece, size_t size) {
    if (PyBytes_Check(piece.ptr())) return view_of(nb::borrow<nb::bytes>(piece));
    if (PyTuple_Check(piece.ptr()) && PyTuple_Size(piece.ptr()) == 2) {
        const nb::handle first = PyTuple_GetItem(piece.ptr(), 0), second = PyTuple_GetItem(piece.ptr(), 1);
        if (PyList_Check(second.ptr())) return read_words(first, second, size);
        return read_ids(first, second, size);
    }
    if (nb::cast<std::string>(nb::str(nb::getattr(piece, "dtype", nb::none()))) == "int64") {
        auto numbers = std::make_unique<ArrayOf<int64_t, 1>>(piece, "pieces");
        check_size(numbers->size(), size);
        return numbers;
    }
    auto numbers = std::make_unique<ArrayOf<double, 1>>(piece, "pieces");
    check_size(numbers->size(), size);
    return numbers;
}

struct Write {
    std::string &to;
    size_t row;

    void operator()(std::string_view text) const { to += text; }
    void operator()(const std::unique_ptr<ArrayOf<double, 1>> &numbers) const {
        tidegate::write_number(to, numbers->data()[row]);
    }
    void operator()(const std::unique_ptr<ArrayOf<int64_t, 1>> &numbers) const {
        to += std::to_string(numbers->data()[row]);
    }
    void operator()(const std::unique_ptr<Words> &words) const {
        to += words->words[static_cast<size_t>(words->codes.data()[row])];
    }
    void operator()(const std::unique_ptr<Ids> &ids) const {
        const int32_t *at = ids->offsets.data() + row;
        to.append(reinterpret_cast<const char *>(ids->data.data()) + at[0], static_cast<size_t>(at[1] - at[0]));
    }
};

nb::bytes write_rows(size_t size, nb::list given) {
    std::vector<Piece> pieces;
    for (nb::handle piece : given) pieces.push_back(read_piece(piece, size));
    std::string text;
    {
        nb::gil_scoped_release unlocked;
        for (size_t row = 0; row < size; row++)
            for (const Piece &piece : pieces) std::visit(Write{text, row}, piece);
    }
    return nb::bytes(text.data(), text.size());
}

} // namespace

void bind_lines(nb::module_ &m) {
    nb::class_<LinePlan>(m, "LinePlan", "What lines of events may hold: fields, as for Typing, and bounds.")
        .def(nb::init<const std::vector<LinePlan::FieldSpec> &, double, double, int64_t>(), "fields"_a,
             "earliest"_a, "latest"_a, "most_seq"_a)
        .def("read", &LinePlan::read, "data"_a, "count"_a,
             "Ids, numbers, times, flags and columns of as many lines; None: they are not all plain.");
    m.def(
        "cut_lines",
        [](nb::bytes data, size_t begin, size_t most, size_t bytes) {
            const tidegate::Run run = tidegate::cut_lines(view_of(data), begin, most, bytes);
            return std::tuple(run.end, run.lines, run.filled, run.cut);
        },
        "data"_a, "begin"_a, "most"_a, "bytes"_a,
        "Where a run of whole lines ends, how many there are, how many hold something, and whether the next "
        "one is too long.");
    m.def("write_rows", &write_rows, "size"_a, "pieces"_a,
          "Rows of text. A piece is bytes, the same in each row; a column of float64 or int64; codes and the "
          "words for which they stand; or offsets and the bytes of texts.");
}
