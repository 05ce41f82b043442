// tidegate._core: the C core seen from Python. One file binds each part.
#include <nanobind/nanobind.h>

#include <cstdint>

extern "C" {
#include "crc32c.h"
}

namespace nb = nanobind;
using namespace nb::literals;

void bind_arena(nb::module_ &m);
void bind_encode(nb::module_ &m);
void bind_engine(nb::module_ &m);
void bind_group(nb::module_ &m);
void bind_log(nb::module_ &m);
void bind_model(nb::module_ &m);
void bind_peaks(nb::module_ &m);

NB_MODULE(_core, m) {
    m.doc() = "The C core of tidegate: recurrent steps, the schema, checksums.";

    m.def(
        "crc32c",
        [](nb::bytes data, uint32_t value) {
            return tg_crc32c(value, static_cast<const uint8_t *>(data.data()), data.size());
        },
        "data"_a, "value"_a = 0, "CRC-32C of the bytes, continued from an earlier value.");
    bind_arena(m);
    bind_encode(m);
    bind_group(m);
    bind_log(m);
    bind_model(m);
    bind_engine(m);
    bind_peaks(m);
}
