// Arrays of callers, read in a few nanoseconds.
//
// A step of a small model takes half a microsecond, and four conversions of arrays by way of the buffer
// protocol as much again. So a plain NumPy array of the right type is read where it lies: its C structure has
// been the same since NumPy 1.7 and is part of NumPy's ABI. Whatever else offers a buffer is read through that.
#pragma once

#include <nanobind/nanobind.h>

#include <cstdint>
#include <cstring>
#include <string>

namespace tidegate {

namespace nb = nanobind;

// The beginning of NumPy's PyArrayObject.
struct NumpyArray {
    PyObject head;
    char *data;
    int n_dimensions;
    Py_ssize_t *shape;
    Py_ssize_t *strides;
    PyObject *base;
    PyObject *dtype;
    int flags;
};

// NumPy's own array type and its dtypes for native numbers, of which there is one object each.
struct Numpy {
    PyObject *array;
    PyObject *float32, *float64, *int32, *int64, *uint8;
};
const Numpy &numpy(); // looked up once, with the interpreter's lock

template <typename T> PyObject *dtype_of(const Numpy &);
template <> inline PyObject *dtype_of<float>(const Numpy &n) { return n.float32; }
template <> inline PyObject *dtype_of<double>(const Numpy &n) { return n.float64; }
template <> inline PyObject *dtype_of<int32_t>(const Numpy &n) { return n.int32; }
template <> inline PyObject *dtype_of<int64_t>(const Numpy &n) { return n.int64; }
template <> inline PyObject *dtype_of<uint8_t>(const Numpy &n) { return n.uint8; }
template <typename T> constexpr const char *type_name();
template <> constexpr const char *type_name<float>() { return "float32"; }
template <> constexpr const char *type_name<double>() { return "float64"; }
template <> constexpr const char *type_name<int32_t>() { return "int32"; }
template <> constexpr const char *type_name<int64_t>() { return "int64"; }
template <> constexpr const char *type_name<uint8_t>() { return "uint8"; }
template <typename T> bool is_format(const char *format) {
    static_assert(sizeof(long) == 8, "format 'l' is int64");
    const char *const formats = std::is_same_v<T, float> ? "f" : std::is_same_v<T, double> ? "d"
                                : std::is_same_v<T, int32_t> ? "i" : std::is_same_v<T, uint8_t> ? "B" : "lq";
    return format[0] && !format[1] && std::strchr(formats, format[0]);
}

// A C-contiguous array of `dimensions` of T, which the caller keeps alive. TypeError, naming it: anything else,
// and an array that may only be read where it is to be written.
template <typename T, int dimensions, bool writable = false> class ArrayOf {
public:
    ArrayOf(nb::handle object, const char *name) {
        enum { C_CONTIGUOUS = 0x1, ALIGNED = 0x100, WRITEABLE = 0x400 };
        constexpr int wanted = C_CONTIGUOUS | ALIGNED | (writable ? WRITEABLE : 0);
        const Numpy &types = numpy();
        const auto *array = reinterpret_cast<const NumpyArray *>(object.ptr());
        if (reinterpret_cast<PyObject *>(Py_TYPE(object.ptr())) == types.array &&
            array->dtype == dtype_of<T>(types) && array->n_dimensions == dimensions &&
            (array->flags & wanted) == wanted) {
            data_ = reinterpret_cast<T *>(array->data);
            for (int d = 0; d < dimensions; d++) shape_[d] = static_cast<size_t>(array->shape[d]);
            return;
        }
        const int flags = PyBUF_C_CONTIGUOUS | PyBUF_FORMAT | (writable ? PyBUF_WRITABLE : 0);
        if (PyObject_GetBuffer(object.ptr(), &view_, flags) == 0) held_ = true;
        else PyErr_Clear();
        const bool fits = held_ && view_.ndim == dimensions && view_.format && is_format<T>(view_.format) &&
                          reinterpret_cast<uintptr_t>(view_.buf) % alignof(T) == 0;
        if (!fits) {
            release();
            throw nb::type_error((std::string(name) + ": not a C-contiguous " +
                                  (writable ? "writable " : "") + type_name<T>() + " array of " +
                                  std::to_string(dimensions) + (dimensions == 1 ? " dimension" : " dimensions"))
                                     .c_str());
        }
        data_ = static_cast<T *>(view_.buf);
        for (int d = 0; d < dimensions; d++) shape_[d] = static_cast<size_t>(view_.shape[d]);
    }
    ~ArrayOf() { release(); }
    ArrayOf(const ArrayOf &) = delete;
    ArrayOf &operator=(const ArrayOf &) = delete;

    T *data() const { return data_; }
    size_t shape(int d) const { return shape_[d]; }
    size_t size() const {
        size_t n = 1;
        for (size_t extent : shape_) n *= extent;
        return n;
    }

private:
    void release() {
        if (held_) PyBuffer_Release(&view_);
        held_ = false;
    }

    T *data_ = nullptr;
    size_t shape_[dimensions] = {};
    Py_buffer view_;
    bool held_ = false;
};

// ValueError: what is written lies in rows that were checked before, and are read after.
template <typename Read, typename Written> void refuse_overlap(const Read &rows, const Written &written) {
    const auto begin = [](const auto &array) { return reinterpret_cast<uintptr_t>(array.data()); };
    const auto end = [&](const auto &array) { return begin(array) + array.size() * sizeof *array.data(); };
    if (begin(rows) < end(written) && begin(written) < end(rows))
        throw nb::value_error("rows: share memory with an array that is written");
}

} // namespace tidegate
