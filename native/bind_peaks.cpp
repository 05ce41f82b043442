// tidegate._core.peak_gops and read_gbps: what this processor can do at most.
#include <nanobind/nanobind.h>
#include <nanobind/stl/string.h>

#include <new>
#include <string>

extern "C" {
#include "peaks.h"
}

namespace nb = nanobind;
using namespace nb::literals;

namespace {

constexpr size_t MOST_BYTES = size_t{1} << 32;

double peak_gops(const std::string &isa, const std::string &precision) {
    nb::gil_scoped_release release;
    return tg_peak(isa.c_str(), precision.c_str()) * 1e-9;
}

double read_gbps(size_t size) {
    if (size == 0 || size > MOST_BYTES) throw nb::value_error("size: not 1 to 2**32 bytes");
    nb::gil_scoped_release release;
    const double rate = tg_read_bandwidth(size);
    if (rate == 0) throw std::bad_alloc();
    return rate * 1e-9;
}

} // namespace

void bind_peaks(nb::module_ &m) {
    m.def("peak_gops", &peak_gops, "isa"_a, "precision"_a,
          "Peak multiply-add rate of one thread in 1e9 operations a second; 0 where there is none.");
    m.def("read_gbps", &read_gbps, "size"_a,
          "Rate at which one thread reads so many bytes again and again, in 1e9 bytes a second.");
}
