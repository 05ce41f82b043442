// tidegate._core.Typing: dicts of raw fields, as a client sent them, to columns. The plain cases of
// schema/typed.py, which words what is wrong; whatever is not plain is left to it.
#include <nanobind/nanobind.h>
#include <nanobind/ndarray.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/tuple.h>
#include <nanobind/stl/vector.h>

#include <algorithm>
#include <cmath>
#include <memory>
#include <string>
#include <tuple>
#include <vector>

#include "array.h"

namespace nb = nanobind;
using namespace nb::literals;

namespace {

enum class Kind { numeric, boolean, category };

// One column in the making.
struct Column {
    double *numbers = nullptr;    // of numeric and boolean fields
    PyObject **texts = nullptr; // of categories: what stands in an object array
};

void put(PyObject *&place, PyObject *value) { // takes over a reference
    PyObject *old = place;
    place = value;
    Py_XDECREF(old);
}

class Typing {
public:
    // name, kind, required
    using FieldSpec = std::tuple<nb::str, std::string, bool>;

    explicit Typing(const std::vector<FieldSpec> &fields) {
        for (const auto &[name, kind, required] : fields) {
            names_.push_back(name);
            kinds_.push_back(kind == "numeric"   ? Kind::numeric
                             : kind == "boolean" ? Kind::boolean
                                                 : Kind::category);
            if (kinds_.back() == Kind::category && kind != "category")
                throw nb::value_error("fields: a kind is not numeric, boolean or category");
            required_.push_back(required);
            n_required_ += required;
            places_[name] = nb::int_(places_.size());
        }
        if (places_.size() != fields.size()) throw nb::value_error("fields: a name occurs twice");
    }

    // Columns of events, and the rows that are not plainly right: those have missing values.
    nb::tuple columns(nb::list events) const {
        const size_t n = events.size();
        nb::dict made;
        const std::vector<Column> columns = make_columns(made, n);
        nb::list bad;
        Seen seen(names_.size());
        for (size_t i = 0; i < n; i++) {
            // The list holds its events, so that nothing that `seen` points to goes away.
            PyObject *event = PyList_GetItem(events.ptr(), static_cast<Py_ssize_t>(i));
            if (!event) nb::raise_python_error();
            if (!read(event, i, columns, seen)) {
                clear(columns, i);
                bad.append(i);
            }
        }
        return nb::make_tuple(made, bad);
    }

private:
    // The key that was last met at each place of an event, and its field: events of one client have the same
    // keys in the same order, and parsers give them the same objects.
    struct Seen {
        explicit Seen(size_t n) : keys(n), fields(n) {}
        std::vector<PyObject *> keys;
        std::vector<size_t> fields;
    };

    std::vector<Column> make_columns(nb::dict &made, size_t n) const {
        const nb::module_ numpy = nb::module_::import_("numpy");
        std::vector<Column> columns(names_.size());
        const auto numbers = static_cast<size_t>(
            std::count_if(kinds_.begin(), kinds_.end(), [](Kind kind) { return kind != Kind::category; }));
        auto *memory = new double[numbers * n + 1];
        std::fill(memory, memory + numbers * n, NAN);
        const nb::capsule owner(memory, [](void *data) noexcept { delete[] static_cast<double *>(data); });
        for (size_t field = 0; field < names_.size(); field++) {
            nb::object array;
            if (kinds_[field] == Kind::category) {
                array = numpy.attr("full")(n, nb::none(), "dtype"_a = "O");
                columns[field].texts = reinterpret_cast<PyObject **>(
                    reinterpret_cast<tidegate::NumpyArray *>(array.ptr())->data);
            } else {
                array = nb::cast(nb::ndarray<nb::numpy, double>(memory, {n}, owner));
                columns[field].numbers = memory;
                memory += n;
            }
            made[names_[field]] = array;
        }
        return columns;
    }

    bool read(PyObject *event, size_t row, const std::vector<Column> &columns, Seen &seen) const {
        if (!PyDict_CheckExact(event)) return false;
        PyObject *key, *value;
        Py_ssize_t at = 0;
        size_t place = 0, required = 0;
        for (; PyDict_Next(event, &at, &key, &value); place++) {
            if (place >= names_.size()) return false; // a key more than there are fields: one is none
            if (seen.keys[place] != key) {
                if (!PyUnicode_CheckExact(key)) return false;
                PyObject *found = PyDict_GetItemWithError(places_.ptr(), key);
                if (!found) {
                    if (PyErr_Occurred()) nb::raise_python_error();
                    return false;
                }
                seen.keys[place] = key;
                seen.fields[place] = PyLong_AsSize_t(found);
            }
            const size_t field = seen.fields[place];
            if (value == Py_None) continue;
            if (!read_value(kinds_[field], value, row, columns[field])) return false;
            required += required_[field];
        }
        return required == n_required_;
    }

    static bool read_value(Kind kind, PyObject *value, size_t row, const Column &column) {
        switch (kind) {
        case Kind::numeric: return read_number(value, column.numbers[row]);
        case Kind::boolean:
            column.numbers[row] = value == Py_True;
            return value == Py_True || value == Py_False;
        case Kind::category: return read_text(value, column.texts[row]);
        }
        return false;
    }

    static bool read_number(PyObject *value, double &to) {
        double number;
        if (PyFloat_CheckExact(value)) {
            number = PyFloat_AsDouble(value);
        } else if (PyLong_CheckExact(value)) {
            number = PyLong_AsDouble(value);
            if (number == -1.0 && PyErr_Occurred()) {
                PyErr_Clear();
                return false;
            }
        } else {
            return false;
        }
        to = number + 0.0; // -0 becomes +0
        return std::isfinite(number);
    }

    static bool read_text(PyObject *value, PyObject *&to) {
        PyObject *text;
        if (PyUnicode_CheckExact(value)) text = nb::borrow(value).release().ptr();
        else if (PyLong_CheckExact(value)) text = PyObject_Str(value);
        else return false;
        Py_ssize_t size;
        if (!text || !PyUnicode_AsUTF8AndSize(text, &size)) { // too many digits, or a lone surrogate
            PyErr_Clear();
            Py_XDECREF(text);
            return false;
        }
        put(to, text);
        return true;
    }

    static void clear(const std::vector<Column> &columns, size_t row) {
        for (const Column &column : columns)
            if (column.texts) put(column.texts[row], nb::none().release().ptr());
            else column.numbers[row] = NAN;
    }

    std::vector<nb::str> names_;
    std::vector<Kind> kinds_;
    std::vector<bool> required_;
    size_t n_required_ = 0;
    nb::dict places_; // index of each name
};

} // namespace

void bind_typing(nb::module_ &m) {
    nb::class_<Typing>(m, "Typing", "What the fields of events are: a name, a kind, whether it is required.")
        .def(nb::init<const std::vector<Typing::FieldSpec> &>(), "fields"_a);
    m.def(
        "type_columns", [](const Typing &plan, nb::list events) { return plan.columns(std::move(events)); },
        "plan"_a, "events"_a, "Columns of events, and the rows that are not plainly right, whose values are missing.");
}
