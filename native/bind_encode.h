// The schema's encoder as a C++ object: it owns what tg_schema points to, and reads Python's columns.
// A header, so that the engine's binding can use it too.
#ifndef TIDEGATE_BIND_ENCODE_H
#define TIDEGATE_BIND_ENCODE_H

#include <nanobind/nanobind.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <memory>
#include <new>
#include <optional>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "lines.h"

extern "C" {
#include "encode.h"
#include "vocabulary.h"
#include "xxh64.h"
}

namespace tidegate {

namespace nb = nanobind;

// Immutable once built, so that any number of threads may encode with it.
class Encoder {
public:
    // name, column, indicator, slot, required, constant, logged, fill, low, high, center, spread, values
    // (None: not a category). schema/native.py fills it in.
    using FieldSpec = std::tuple<nb::str, size_t, std::optional<size_t>, std::optional<size_t>, bool,
                                 bool, bool, double, double, double, double, double,
                                 std::optional<nb::tuple>>;
    // column, center, spread
    using DeltaSpec = std::tuple<size_t, double, double>;

    Encoder(const std::vector<FieldSpec> &fields, std::optional<DeltaSpec> delta,
            std::optional<size_t> hour, std::optional<size_t> weekday, double utc_offset_hours,
            std::optional<std::vector<size_t>> positions = std::nullopt) {
        std::vector<size_t> columns, slots;
        const auto place = [](std::vector<size_t> &taken, std::optional<size_t> at) {
            if (at) taken.push_back(*at);
            return at.value_or(TG_NONE);
        };
        for (const auto &[name, column, indicator, slot, required, constant, logged, fill, low, high,
                          center, spread, values] : fields) {
            if (constant && !slot) refuse(name, "is constant, and has no slot");
            fields_.push_back({place(columns, column), place(columns, indicator), place(slots, slot),
                               required, constant, logged, values.has_value(), fill, low, high, center,
                               spread});
            names_.push_back(name);
            vocabularies_.push_back(values ? vocabulary(name, *values) : nullptr);
        }
        schema_.n_fields = fields_.size();
        schema_.fields = fields_.data();
        schema_.delta = schema_.hour = schema_.weekday = TG_NONE;
        if (delta) {
            schema_.delta = place(columns, std::get<0>(*delta));
            schema_.delta_slot = place(slots, slots.size());
            schema_.delta_center = std::get<1>(*delta);
            schema_.delta_spread = std::get<2>(*delta);
        }
        if (hour) schema_.hour = place(columns, hour), place(columns, *hour + 1);
        if (weekday) schema_.weekday = place(columns, weekday), place(columns, *weekday + 1);
        schema_.utc_offset = utc_offset_hours * 3600.0;
        schema_.width = columns.size();
        schema_.state_size = slots.size();
        if (!is_permutation(columns)) refuse("columns", "are not each of the row's, once");
        if (!is_permutation(slots)) refuse("slots", "are not each of the state's, once");
        if (positions) positions_ = std::move(*positions);
        else
            for (size_t i = 0; i < fields_.size(); i++) positions_.push_back(i);
        if (positions_.size() != fields_.size() || !is_permutation(positions_))
            refuse("positions", "are not each of the fields', once");
    }

    Encoder(const Encoder &) = delete;
    Encoder &operator=(const Encoder &) = delete;

    const tg_schema *schema() const { return &schema_; }

    // Where each field stands among those that a user configured: the order of a payload's hash.
    const size_t *positions() const { return positions_.data(); }

    // Writes the raw values of `n` events, n x fields: categories as their index, NaN where a value is
    // missing. With `hashes`, also n x fields, those of the categories' texts. Needs the interpreter's
    // lock. A column that is not of the field's type (float64; or object with str and None, or a tuple of
    // int32 indices and their texts, where a negative index is missing) and of length n is a ValueError.
    void gather(nb::dict columns, size_t n, double *raw, uint64_t *hashes = nullptr) const {
        for (size_t field = 0; field < fields_.size(); field++) {
            PyObject *array = PyDict_GetItemWithError(columns.ptr(), names_[field].ptr());
            if (!array) {
                if (PyErr_Occurred()) nb::raise_python_error();
                refuse(names_[field], "is not among the columns");
            }
            const tg_vocabulary *values = vocabularies_[field].get();
            if (values && PyTuple_Check(array)) {
                gather_coded(field, nb::borrow<nb::tuple>(array), n, raw + field,
                             hashes ? hashes + field : nullptr);
                continue;
            }
            const Column column(array);
            if (!column.holds(values ? "O" : "d", n))
                refuse(names_[field], values ? "is not an object array, one value an event"
                                             : "is not a float64 array, one value an event");
            if (values) gather_texts(field, column, n, raw + field, hashes ? hashes + field : nullptr);
            else
                for (size_t i = 0; i < n; i++) raw[i * fields_.size() + field] = column.at<double>(i);
        }
    }

    // Where the values of each field stand among those of lines: as many columns of numbers, and of texts, stand
    // before it. Needs the interpreter's lock. ValueError: a field that the lines lack, or of another kind.
    std::vector<size_t> places_in(const std::vector<Field> &fields) const {
        std::vector<size_t> before, places;
        size_t columns[] = {0, 0}; // numbers, texts
        for (const Field &field : fields) before.push_back(columns[field.kind == Kind::category]++);
        for (size_t field = 0; field < fields_.size(); field++) {
            const tg_text text = utf8(names_[field], names_[field].ptr());
            const std::string_view name(text.data, text.size);
            const auto is_it = [name](const Field &other) { return other.name == name; };
            // Both come from one schema, as a rule, and have one order: a search for each costs a wide one dear.
            auto found = fields.begin() + static_cast<ptrdiff_t>(std::min(field, fields.size()));
            if (found == fields.end() || !is_it(*found)) found = std::find_if(fields.begin(), fields.end(), is_it);
            if (found == fields.end()) refuse(names_[field], "is not among the fields of the lines");
            const bool is_text = found->kind == Kind::category;
            if (is_text != (vocabularies_[field] != nullptr)) refuse(names_[field], "is of another kind in the lines");
            places.push_back(before[static_cast<size_t>(found - fields.begin())]);
        }
        return places;
    }

    // As `gather`, of lines, with what `places_in` says of their fields. No lock is needed.
    void gather_lines(const Lines &lines, const std::vector<size_t> &places, size_t n, double *raw,
                      uint64_t *hashes) const {
        const size_t width = fields_.size();
        for (size_t field = 0; field < width; field++) {
            const tg_vocabulary *values = vocabularies_[field].get();
            if (!values) {
                const double *numbers = lines.numbers.data() + places[field] * n;
                for (size_t i = 0; i < n; i++) raw[i * width + field] = numbers[i];
                continue;
            }
            const Texts &column = lines.texts[places[field]];
            std::vector<Text> texts;
            for (const std::string_view word : column.words)
                texts.push_back(Text::of(values, {word.data(), word.size()}, true));
            for (size_t i = 0; i < n; i++) {
                const int32_t code = column.codes[i];
                const Text text = code < 0 ? Text() : texts[static_cast<size_t>(code)];
                raw[i * width + field] = text.index;
                hashes[i * width + field] = text.hash;
            }
        }
    }

private:
    struct FreeVocabulary {
        void operator()(tg_vocabulary *vocabulary) const { tg_vocabulary_free(vocabulary); }
    };
    using Vocabulary = std::unique_ptr<tg_vocabulary, FreeVocabulary>;

    // A one-dimensional array through the buffer protocol, whatever its stride.
    class Column {
    public:
        explicit Column(PyObject *array) {
            if (PyObject_GetBuffer(array, &view_, PyBUF_RECORDS_RO) == 0) held_ = true;
            else PyErr_Clear();
        }
        ~Column() {
            if (held_) PyBuffer_Release(&view_);
        }
        Column(const Column &) = delete;
        Column &operator=(const Column &) = delete;

        bool holds(const char *format, size_t n) const {
            if (!held_ || view_.ndim != 1 || !view_.format) return false;
            if (view_.shape[0] != static_cast<Py_ssize_t>(n)) return false;
            const bool unaligned = view_.format[0] == '='; // `at` does not mind
            return std::strcmp(view_.format + unaligned, format) == 0;
        }
        template <typename Item> Item at(size_t i) const {
            Item item;
            const Py_ssize_t offset = static_cast<Py_ssize_t>(i) * view_.strides[0];
            std::memcpy(&item, static_cast<const char *>(view_.buf) + offset, sizeof item);
            return item;
        }

    private:
        Py_buffer view_{};
        bool held_ = false;
    };

    // A text: its index, and its hash. NaN and TG_MISSING_WORD: none.
    struct Text {
        double index = NAN;
        uint64_t hash = TG_MISSING_WORD;

        static Text of(const tg_vocabulary *values, tg_text text, bool hashed) {
            return {static_cast<double>(tg_vocabulary_index(values, text)),
                    hashed ? tg_xxh64(text.data, text.size, 0) : 0};
        }
    };

    void gather_texts(size_t field, const Column &column, size_t n, double *raw, uint64_t *hashes) const {
        PyObject *last = Py_None; // events of one batch, or of one table, often share the very object
        Text text;
        for (size_t i = 0; i < n; i++) {
            PyObject *value = column.at<PyObject *>(i);
            if (value != last) {
                last = value;
                text = text_of(field, value, hashes);
            }
            raw[i * fields_.size()] = text.index;
            if (hashes) hashes[i * fields_.size()] = text.hash;
        }
    }

    void gather_coded(size_t field, nb::tuple coded, size_t n, double *raw, uint64_t *hashes) const {
        if (coded.size() != 2) refuse(names_[field], "is not a pair of indices and texts");
        const Column indices(nb::object(coded[0]).ptr());
        if (!indices.holds("i", n)) refuse(names_[field], "is not an int32 array of indices, one an event");
        std::vector<Text> texts;
        for (nb::handle value : nb::iter(coded[1])) texts.push_back(text_of(field, value.ptr(), hashes));
        for (size_t i = 0; i < n; i++) {
            const int32_t index = indices.at<int32_t>(i);
            if (index >= 0 && static_cast<size_t>(index) >= texts.size())
                refuse(names_[field], "has an index without a text");
            const Text text = index < 0 ? Text() : texts[static_cast<size_t>(index)];
            raw[i * fields_.size()] = text.index;
            if (hashes) hashes[i * fields_.size()] = text.hash;
        }
    }

    Text text_of(size_t field, PyObject *value, bool hashed) const {
        if (value == Py_None || value == nullptr) return {}; // NumPy reads an empty place as None too
        if (!PyUnicode_Check(value)) refuse(names_[field], "has a value that is neither str nor None");
        return Text::of(vocabularies_[field].get(), utf8(names_[field], value), hashed);
    }

    static tg_text utf8(const nb::str &name, PyObject *text) {
        Py_ssize_t size;
        const char *data = PyUnicode_AsUTF8AndSize(text, &size);
        if (!data) {
            PyErr_Clear();
            refuse(name, "has text that UTF-8 cannot write");
        }
        return {data, static_cast<size_t>(size)};
    }

    static Vocabulary vocabulary(const nb::str &name, nb::tuple values) {
        if (values.size() > TG_MAX_VOCABULARY) refuse(name, "has too many values");
        std::vector<tg_text> texts;
        texts.reserve(values.size());
        for (nb::handle value : values) {
            if (!PyUnicode_Check(value.ptr())) refuse(name, "has a value that is not str");
            texts.push_back(utf8(name, value.ptr()));
        }
        Vocabulary made(tg_vocabulary_new(texts.size(), texts.data()));
        if (!made) throw std::bad_alloc();
        return made;
    }

    static bool is_permutation(const std::vector<size_t> &places) {
        std::vector<bool> taken(places.size());
        for (size_t place : places) {
            if (place >= places.size() || taken[place]) return false;
            taken[place] = true;
        }
        return true;
    }

    [[noreturn]] static void refuse(const nb::str &name, const char *what) {
        refuse(name.c_str(), what);
    }
    [[noreturn]] static void refuse(const char *name, const char *what) {
        throw nb::value_error((std::string(name) + ": " + what).c_str());
    }

    std::vector<nb::str> names_;
    std::vector<tg_field> fields_;
    std::vector<size_t> positions_;
    std::vector<Vocabulary> vocabularies_; // null where the field is no category
    tg_schema schema_{};
};

} // namespace tidegate

#endif
